import {
	armSystemCall,
	NT_ARM,
	type UserPtRegs,
	userFpsimdState,
	userGcs,
	userPacMask,
} from "../../arch/aarch64/aarch64.ts";
import { aarch64SyscallName } from "../../arch/aarch64/syscalls.ts";
import { hex } from "../../bytes/address.ts";
import { u64, viewOf } from "../../bytes/layout.ts";
import { NT } from "../../linux/elf-core.ts";
import type { ProcessorView } from "./view.ts";

/**
 * A thread of an AArch64 core.
 *
 * @param notes Of this thread, by type; those that are absent are not spoken of.
 */
export function aarch64View(registers: UserPtRegs, notes: ReadonlyMap<number, Uint8Array>): ProcessorView {
	const { regs, sp, pc, pstate } = registers;
	const named = (): Record<string, bigint> => Object.fromEntries(regs.map((value, i) => [`x${i}`, value]));
	const details = detailsOf(notes);
	return {
		ip: pc,
		call: callIn(notes.get(NT_ARM.SYSTEM_CALL), regs.slice(0, 6)),
		registers: () => ({ ...named(), sp, pc, pstate }),
		processor: Object.fromEntries(details),
		lines: () => [
			...gridOf([...Object.entries(named()), ["sp", sp], ["pc", pc], ["pstate", pstate]]),
			...details.map(([what, values]) => `${words[what]} ${textOf(values)}`),
		],
	};
}

type Details = Readonly<Record<string, string>>;

const words: Readonly<Record<string, string>> = {
	threadPointers: "thread pointers",
	floatingPoint: "floating point",
	pointerAuthentication: "pointer authentication",
	guardedControlStack: "guarded control stack",
};

/** What its notes say that can be told in a line. */
function detailsOf(notes: ReadonlyMap<number, Uint8Array>): [keyof typeof words & string, Details][] {
	const found: [string, Details][] = [];
	const tls = notes.get(NT_ARM.TLS);
	if (tls !== undefined && tls.length >= u64.size) {
		const second: Details = tls.length < 2 * u64.size ? {} : { tpidr2: hex(u64.read(viewOf(tls), u64.size)) };
		found.push(["threadPointers", { tpidr: hex(u64.read(viewOf(tls), 0)), ...second }]);
	}
	const fp = notes.get(NT.FPREGSET);
	if (fp !== undefined) {
		const { fpsr, fpcr } = userFpsimdState.decode(fp);
		found.push(["floatingPoint", { fpsr: hex(fpsr), fpcr: hex(fpcr) }]);
	}
	const pac = notes.get(NT_ARM.PAC_MASK);
	if (pac !== undefined) {
		const { data_mask, insn_mask } = userPacMask.decode(pac);
		found.push(["pointerAuthentication", { dataMask: hex(data_mask), codeMask: hex(insn_mask) }]);
	}
	const gcs = notes.get(NT_ARM.GCS);
	if (gcs !== undefined) {
		const { features_enabled, features_locked, gcspr_el0 } = userGcs.decode(gcs);
		const [enabled, locked] = [hex(features_enabled), hex(features_locked)];
		found.push(["guardedControlStack", { pointer: hex(gcspr_el0), enabled, locked }]);
	}
	return found;
}

const textOf = (values: Details): string =>
	Object.entries(values)
		.map(([name, value]) => `${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${value}`)
		.join("  ");

function callIn(note: Uint8Array | undefined, args: readonly bigint[]): ProcessorView["call"] {
	if (note === undefined) return undefined;
	const { number } = armSystemCall.decode(note);
	const name = aarch64SyscallName(number);
	return name === undefined ? "none" : { number: BigInt(number), name, args };
}

const COLUMNS = 4;

function gridOf(entries: readonly (readonly [string, bigint])[]): string[] {
	const cells = entries.map(([name, value]) => `${name.padEnd(6)} ${value.toString(16).padStart(16, "0")}`);
	return Array.from({ length: Math.ceil(cells.length / COLUMNS) }, (_, i) =>
		cells.slice(i * COLUMNS, (i + 1) * COLUMNS).join("  "),
	);
}
