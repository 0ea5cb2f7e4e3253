import { initialFx } from "../../../src/arch/x86-64/xstate.ts";
import { type Address, address, fileOffset } from "../../../src/bytes/address.ts";
import type { Placed } from "../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { Description } from "../../../src/descriptors/kinds.ts";
import type { Files } from "../../../src/forest/files.ts";
import type { Backing, Credentials, Mapping, Memory, Task, Thread } from "../../../src/forest/task.ts";

/* A process with next to nothing, to which a test adds what it is about. */

export const PID = 500;
const P = 4096n;
const HEAP = 0x10_0000n;

export const SOMEBODY: Credentials = {
	...{ uid: 1000, gid: 100, euid: 1001, egid: 101, suid: 1002, sgid: 102, fsuid: 1003, fsgid: 103 },
	...{ groups: [], inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n },
	...{ securebits: 0, noNewPrivileges: false },
};

export const smallThread = (parts: Partial<Thread> = {}): Thread => ({
	...{ tid: PID, name: "small", registers: {} as never, blocked: 0n, pending: [], credentials: SOMEBODY },
	xstate: { fx: initialFx, xcr0: 3n, xstateBv: 3n, components: new Map() },
	...{ scheduling: { nice: 0, policy: 0, priority: 0 }, parentDeathSignal: 0, seccomp: "none" },
	...parts,
	registers: parts.registers ?? ZEROS,
});

const NAMES =
	"r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss fs_base gs_base ds es fs gs".split(" ");
const ZEROS = Object.fromEntries(NAMES.map((name) => [name, 0n])) as unknown as Thread["registers"];

/** `pages` pages from `start`. */
export const map = (start: bigint, pages: number, backing: Backing, more: Partial<Mapping> = {}): Mapping => ({
	...{ start: address(start), end: address(start + BigInt(pages) * P), prot: 3, shared: false, backing },
	...{ flags: 0, advice: 0n },
	...more,
});

/** Pages full of each letter in turn; `_` is a page of zeros. */
export const lettered = (start: bigint, letters: string): Placed<Address> => {
	const bytes = Buffer.concat([...letters].map((letter) => Buffer.alloc(4096, letter === "_" ? 0 : letter)));
	const length = BigInt(bytes.length);
	return {
		start: address(start),
		length,
		source: fromBuffer("bytes", bytes),
		offset: fileOffset(0),
		available: length,
	};
};

export const smallTask = (
	parts: {
		readonly memory?: Partial<Memory>;
		readonly files?: Partial<Files>;
		readonly open?: readonly Description[];
		readonly threads?: readonly Thread[];
	} & Partial<Omit<Task, "memory" | "files" | "threads">> = {},
): Task => {
	const { memory, files, open = [], threads = [smallThread()], ...rest } = parts;
	const at = address(0x1000n);
	return {
		identity: { pid: PID, ppid: 1, pgid: PID, sid: PID, comm: "small" },
		threads,
		memory: {
			mappings: [map(HEAP, 1, { kind: "anonymous" })],
			contents: [lettered(HEAP, "h")],
			...{ objects: [], executable: "/bin/small", files: new Map(), auxv: [], dumpable: 1 },
			bounds: {
				...{ startCode: at, endCode: at, startData: at, endData: at, startStack: at, startBrk: at, brk: at },
				...{ argStart: at, argEnd: at, envStart: at, envEnd: at },
			},
			...memory,
		},
		...{ signalActions: [], posixTimers: [], limits: [], pending: [], stopped: false },
		intervalTimers: {
			real: { remaining: 0n, interval: 0n },
			virtual: { remaining: 0n, interval: 0n },
			profiling: { remaining: 0n, interval: 0n },
		},
		files: {
			...{ cwd: "/tmp", root: "/" },
			descriptors: open.map((description, number) => ({ number, closeOnExec: false, description })),
			...files,
		},
		...rest,
	};
};
