import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** A /proc/PID/status, or one thread's (fs/proc/array.c). Sets have bit n-1 for signal n, bit n for capability n. */
export interface ProcStatus {
	/** As the kernel shows it: newlines and backslashes escaped. */
	readonly name: string;
	/** `R`, `S`, `D`, `T` stopped by job control, `t` by a tracer, `Z`, `X`. */
	readonly state: string;
	readonly tgid: number;
	/** 0 for none. */
	readonly tracer: number;
	/** Its ids in its pid namespace and those around it; the innermost is the last. */
	readonly nspids: readonly number[];
	/** Those of its process group and its session, in the same order. */
	readonly nspgids: readonly number[];
	readonly nssids: readonly number[];
	readonly kernelThread: boolean;
	/** Real, effective, saved, of file access. */
	readonly uids: Four;
	readonly gids: Four;
	readonly groups: readonly number[];
	/** Linux >= 4.7. */
	readonly umask?: number;
	readonly pending: bigint;
	readonly sharedPending: bigint;
	readonly inheritable: bigint;
	readonly permitted: bigint;
	readonly effective: bigint;
	readonly bounding: bigint;
	readonly ambient: bigint;
	readonly noNewPrivileges: boolean;
	/** 0 none, 1 strict, 2 filter. */
	readonly seccomp: number;
	/** Processors it may run on, bit n for processor n. */
	readonly processors: bigint;
	/** Bits of an address that count (linear address masking); all ones where all do, or where it is not told. */
	readonly untagMask: bigint;
}

export type Four = readonly [number, number, number, number];

export const readStatus = (whose: Whose): ProcStatus => parseStatus(textIn(whose, "status"));

/** Lines that a kernel does not have read as zero. */
export function parseStatus(text: string): ProcStatus {
	const fields = new Map<string, string>();
	for (const line of text.split("\n")) {
		const colon = line.indexOf(":");
		if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
	}
	const words = (name: string): string[] => (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
	const numbers = (name: string): number[] => words(name).map(Number);
	const number = (name: string): number => numbers(name)[0] ?? 0;
	const set = (name: string): bigint => BigInt(`0x${words(name)[0] ?? "0"}`);
	const four = (name: string): Four => {
		const [a = 0, b = 0, c = 0, d = 0] = numbers(name);
		return [a, b, c, d];
	};
	const umask = fields.get("Umask");
	return {
		name: fields.get("Name") ?? "",
		state: words("State")[0] ?? "",
		tgid: number("Tgid"),
		tracer: number("TracerPid"),
		nspids: numbers("NSpid"),
		nspgids: numbers("NSpgid"),
		nssids: numbers("NSsid"),
		// kernels before 6.7 do not say so, but tell no size of what a kernel thread has not
		kernelThread: fields.has("Kthread") ? number("Kthread") === 1 : !fields.has("VmSize"),
		uids: four("Uid"),
		gids: four("Gid"),
		groups: numbers("Groups"),
		...(umask === undefined ? {} : { umask: Number.parseInt(umask, 8) }),
		pending: set("SigPnd"),
		sharedPending: set("ShdPnd"),
		inheritable: set("CapInh"),
		permitted: set("CapPrm"),
		effective: set("CapEff"),
		bounding: set("CapBnd"),
		ambient: set("CapAmb"),
		noNewPrivileges: number("NoNewPrivs") === 1,
		seccomp: number("Seccomp"),
		processors: BigInt(`0x${(words("Cpus_allowed")[0] ?? "0").replaceAll(",", "")}`),
		untagMask: BigInt(words("untag_mask")[0] ?? "0xffffffffffffffff"),
	};
}
