import { address } from "../../../src/bytes/address.ts";
import type { Description } from "../../../src/descriptors/kinds.ts";
import type { Bounds, Task } from "../../../src/forest/task.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import type { Plan, Stage } from "../../../src/plan/plan.ts";
import { smallTask, smallThread } from "./small-task.ts";

/* Processes for plans of several. */

const [at, end] = [address(0x10_0000n), address(0x10_1000n)];

/** Of a process whose one page is at 1 MiB. */
export const BOUNDS: Bounds = {
	...{ startCode: at, endCode: end, startData: at, endData: end, startStack: at, startBrk: end, brk: end },
	...{ argStart: at, argEnd: at, envStart: at, envEnd: at },
};

/** Of 64-bit code. */
export const USER = { ...smallThread().registers, cs: 0x33n, ss: 0x2bn };

export const SIMPLE = {
	facts: {
		...{ xstate: { size: 576, places: new Map(), origin: "note" }, xcr0: 3n, hugePages: "never", processors: 1 },
		...{ vdso: { image: new Uint8Array(), vvarLength: 0n }, limits: [] },
	} satisfies HostFacts,
	process: (pid: number, ppid: number, sid: number, pgid: number, open: readonly Description[] = []): Task => ({
		...smallTask({
			open,
			threads: [smallThread({ tid: pid, registers: USER, credentials: ROOT })],
			memory: { bounds: BOUNDS },
		}),
		identity: { pid, ppid, sid, pgid, comm: "small" },
	}),
} as const;

const ROOT = {
	...{ ...smallThread().credentials, uid: 0, gid: 0, euid: 0, egid: 0, suid: 0, sgid: 0, fsuid: 0, fsgid: 0 },
	...{ permitted: (1n << 41n) - 1n, effective: (1n << 41n) - 1n, bounding: (1n << 41n) - 1n },
};

/** `list: call why` of some stages. */
export const planSteps = ({ lists }: Plan, stages: readonly Stage[]): string[] =>
	lists.flatMap(({ name, steps }) =>
		steps.filter(({ stage }) => stages.includes(stage)).map(({ call, why }) => `${name}: ${call} ${why}`),
	);
