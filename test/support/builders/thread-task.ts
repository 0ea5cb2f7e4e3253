import type { UserRegs } from "../../../src/arch/x86-64/registers.ts";
import type { Xstate } from "../../../src/arch/x86-64/xstate.ts";
import { address } from "../../../src/bytes/address.ts";
import type { Credentials, Task, Thread } from "../../../src/forest/task.ts";

// Processes as data, of which only threads and what they share matter.

export const ROOT: Credentials = {
	...{ uid: 0, gid: 0, euid: 0, egid: 0, suid: 0, sgid: 0, fsuid: 0, fsgid: 0, groups: [] },
	...{ inheritable: 0n, permitted: 0n, effective: 0n, bounding: (1n << 41n) - 1n, ambient: 0n },
	...{ securebits: 0, noNewPrivileges: false },
};

export const NOBODY: Credentials = {
	...ROOT,
	...{ uid: 65534, gid: 65534, euid: 65534, egid: 65534, suid: 65534, sgid: 65534, fsuid: 65534, fsgid: 65534 },
};

/** Every register another number, and what 64-bit code has in the rest. */
export const registersOf = (seed: bigint, more: Partial<UserRegs> = {}): UserRegs => ({
	...{ r15: seed + 15n, r14: seed + 14n, r13: seed + 13n, r12: seed + 12n, bp: seed + 21n, bx: seed + 22n },
	...{ r11: seed + 11n, r10: seed + 10n, r9: seed + 9n, r8: seed + 8n, ax: seed + 23n, cx: seed + 24n },
	...{ dx: seed + 25n, si: seed + 26n, di: seed + 27n, orig_ax: (1n << 64n) - 1n, ip: 0x40_1000n, cs: 0x33n },
	...{ flags: 0x246n, sp: 0x7fff_0000n, ss: 0x2bn, fs_base: 0n, gs_base: 0n, ds: 0n, es: 0n, fs: 0n, gs: 0n },
	...more,
});

/** x87, SSE, AVX and protection keys in use, with other bytes for another seed. */
export const xstateOf = (seed: number, more: Partial<Xstate> = {}): Xstate => ({
	fx: {
		...{ cwd: 0x27f, swd: 0, twd: 0, fop: 0, rip: 0n, rdp: 0n, mxcsr: 0x1fa0, mxcsr_mask: 0xffff },
		st_space: new Array<number>(32).fill(0),
		xmm_space: Array.from({ length: 64 }, (_, i) => (seed * 0x01010101 + i) >>> 0),
		padding: new Array<number>(24).fill(0),
	},
	xcr0: 0x207n,
	xstateBv: 0x207n,
	components: new Map([
		[2, new Uint8Array(256).map((_, i) => seed + i)],
		[9, Uint8Array.of(0x54, 0x55, 0x55, 0x55, 0, 0, 0, 0)],
	]),
	...more,
});

export const threadOf = (tid: number, more: Partial<Thread> = {}): Thread => ({
	tid,
	name: `thread ${tid}`,
	registers: registersOf(BigInt(tid) << 32n),
	xstate: xstateOf(tid & 0x7f),
	blocked: 0n,
	pending: [],
	scheduling: { nice: 0, policy: 0, priority: 0 },
	parentDeathSignal: 0,
	credentials: ROOT,
	seccomp: "none",
	...more,
});

/** A process of these threads, leader first. */
export function taskOfThreads(threads: readonly Thread[], more: Partial<Task> = {}): Task {
	const pid = threads[0]?.tid ?? 0;
	const still = { remaining: 0n, interval: 0n };
	const nowhere = address(0n);
	return {
		identity: { pid, ppid: 1, pgid: pid, sid: pid, comm: "dead" },
		threads,
		memory: {
			...{ mappings: [], contents: [], objects: [], executable: "/bin/dead", files: new Map(), auxv: [], dumpable: 1 },
			bounds: {
				...{ startCode: nowhere, endCode: nowhere, startData: nowhere, endData: nowhere, startStack: nowhere },
				...{ startBrk: nowhere, brk: nowhere, argStart: nowhere, argEnd: nowhere, envStart: nowhere, envEnd: nowhere },
			},
		},
		signalActions: [],
		intervalTimers: { real: still, virtual: still, profiling: still },
		posixTimers: [],
		limits: [],
		pending: [],
		files: { descriptors: [] },
		stopped: false,
		...more,
	};
}

/** A `siginfo_t`: signal, code and where it came from. */
export function siginfoOf(signal: number, code: number, pid = 0, value = 0n): Uint8Array {
	const bytes = Buffer.alloc(128);
	bytes.writeInt32LE(signal, 0);
	bytes.writeInt32LE(code, 8);
	bytes.writeInt32LE(pid, 16);
	bytes.writeBigUInt64LE(value, 24);
	return new Uint8Array(bytes);
}
