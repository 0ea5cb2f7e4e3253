import type { Model } from "./model-kernel.ts";

/*
 * A kernel that knows time namespaces, by the rules of kernel/time/namespace.c: unshare(2) makes one for children only, whose
 * clocks may be set until somebody lives in it; setns(2) takes a process with one thread there. Whoever restores answers the
 * question for the clocks.
 */

/** What a process has to say and to show of its clocks. */
export interface ModelTime {
	/** The text that was written to /proc/self/timens_offsets. */
	offsets?: string;
	/** How many threads it had when it moved. */
	threads?: number;
	/** It lives in the namespace that it made. */
	inside: boolean;
	/** Descriptors that were not closed. */
	readonly open: Set<bigint>;
}

const [READ, WRITE, CLOSE, OPENAT, UNSHARE, SETNS] = [0, 1, 3, 257, 272, 308];
const CLONE_NEWTIME = 0x80n;
const [EACCES, EUSERS, EINVAL] = [-13n, -87n, -22n];
const [OFFSETS, NAMESPACE] = [2000n, 2001n];
const files = new Map([
	["/proc/self/timens_offsets", OFFSETS],
	["/proc/self/ns/time_for_children", NAMESPACE],
]);

/** @param answer What is read where the question was put. */
export function modelClocks(answer: string): { readonly model: Model; readonly time: ModelTime } {
	const time: ModelTime = { inside: false, open: new Set() };
	let [made, threads] = [false, 0];
	return {
		time,
		model: {
			spawned: () => {
				threads += 1;
			},
			call: (number, [a = 0n, b = 0n, c = 0n], memory) => {
				switch (number) {
					case UNSHARE:
						made ||= a === CLONE_NEWTIME;
						return a === CLONE_NEWTIME ? 0n : undefined;
					case OPENAT: {
						const bytes = Buffer.from(memory.read(b, 40));
						const file = files.get(bytes.subarray(0, bytes.indexOf(0)).toString());
						if (file !== undefined) time.open.add(file);
						return file;
					}
					case CLOSE:
						return time.open.delete(a) ? 0n : undefined;
					case READ:
						if (c !== BigInt(answer.length)) return undefined;
						memory.write(b, Buffer.from(answer));
						return c;
					case WRITE:
						if (a !== OFFSETS) return undefined;
						if (!made || time.inside) return EACCES;
						time.offsets = Buffer.from(memory.read(b, Number(c))).toString();
						return c;
					case SETNS:
						if (a !== NAMESPACE || b !== CLONE_NEWTIME || !made) return EINVAL;
						if (threads > 1) return EUSERS;
						time.threads = threads;
						time.inside = true;
						return 0n;
					default:
						return undefined;
				}
			},
		},
	};
}
