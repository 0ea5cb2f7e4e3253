import { type UserRegs, userRegs } from "../../arch/x86-64/registers.ts";
import type { Xstate } from "../../arch/x86-64/xstate.ts";
import { componentsIn, PKRU, xstateComponentName } from "../../arch/x86-64/xstate-components.ts";
import { hex } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { callOf } from "./call.ts";
import type { ProcessorView } from "./view.ts";

/** As debuggers group them: where it is, arguments, the rest, segments. */
const rows: readonly (readonly (readonly [label: string, register: keyof UserRegs])[])[] = [
	[
		["rip", "ip"],
		["rsp", "sp"],
		["rbp", "bp"],
		["rflags", "flags"],
	],
	[
		["rax", "ax"],
		["rbx", "bx"],
		["rcx", "cx"],
		["rdx", "dx"],
	],
	[
		["rsi", "si"],
		["rdi", "di"],
		["r8", "r8"],
		["r9", "r9"],
	],
	[
		["r10", "r10"],
		["r11", "r11"],
		["r12", "r12"],
		["r13", "r13"],
	],
	[
		["r14", "r14"],
		["r15", "r15"],
		["fsbase", "fs_base"],
		["gsbase", "gs_base"],
	],
];

/** A thread of x86-64. */
export function x86View(registers: UserRegs, xstate: Xstate | undefined): ProcessorView {
	return {
		ip: registers.ip,
		call: callOf(registers) ?? "none",
		registers: () => Object.fromEntries(registerNames.map((name) => [name, registers[name]])),
		...defined({ xstate }),
		lines: () => registerLines(registers, xstate),
	};
}

const registerNames = Object.keys(userRegs.fields) as (keyof UserRegs)[];

/** All 27 words of a thread, sixteen digits each, and one line on its FPU. Without indentation. */
export function registerLines(registers: UserRegs, xstate: Xstate | undefined): string[] {
	const grid = rows.map((row) =>
		row.map(([label, name]) => `${label.padEnd(6)} ${registers[name].toString(16).padStart(16, "0")}`).join("  "),
	);
	const segments = (["cs", "ss", "ds", "es", "fs", "gs"] as const).map(
		(name) => `${name} ${registers[name].toString(16)}`,
	);
	const call = BigInt.asIntN(64, registers.orig_ax);
	return [...grid, `orig_rax ${call}  ${segments.join("  ")}`, ...(xstate === undefined ? [] : [fpuLine(xstate)])];
}

function fpuLine({ fx, xstateBv, components }: Xstate): string {
	const used = componentsIn(xstateBv).map(xstateComponentName).join(" ");
	const pkru = components.get(PKRU);
	const key = pkru === undefined || pkru.length < 4 ? "" : `  pkru ${hex(Buffer.from(pkru).readUInt32LE(0))}`;
	return `mxcsr ${hex(fx.mxcsr)}  fctrl ${hex(fx.cwd)}  fstat ${hex(fx.swd)}${key}  in use ${used === "" ? "nothing" : used}`;
}
