import { type LockLine, parseLock } from "./locks.ts";
import { numbersIn, textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** What /proc/PID/fdinfo/N tells of an open file (fs/proc/fd.c, and `show_fdinfo` of each kind). */
export interface Fdinfo {
	/** Bytes; a directory's cookie. */
	readonly position: bigint;
	/** O_ flags, O_CLOEXEC among them. */
	readonly flags: number;
	/** Locks on its file that were taken by way of this open file: the process's own, and those of the open file itself. */
	readonly locks: readonly LockLine[];
	/** All lines, for kinds that tell several things in one. */
	readonly lines: readonly string[];
	/** One line's value, by its name; `undefined` where there is none. */
	field(name: string): string | undefined;
	/** Every `tfd:` line of an epoll instance. */
	readonly targets: readonly {
		readonly number: number;
		readonly events: number;
		readonly data: bigint;
		/** Of the file that is watched. */
		readonly inode?: bigint;
	}[];
}

/** Descriptors, ascending. */
export const descriptorsOf = (whose: Whose): number[] => numbersIn(whose, "fd").sort((a, b) => a - b);

export const readFdinfo = (whose: Whose, fd: number): Fdinfo => parseFdinfo(textIn(whose, `fdinfo/${fd}`));

export function parseFdinfo(text: string): Fdinfo {
	const fields = new Map<string, string>();
	const locks: LockLine[] = [];
	const targets: Fdinfo["targets"][number][] = [];
	const lines = text.split("\n");
	for (const line of lines) {
		const target = /^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)(?:.* ino:([0-9a-f]+))?/.exec(line);
		if (target !== null) {
			const [, number, events, data, inode] = target;
			targets.push({
				...{ number: Number(number), events: Number.parseInt(events ?? "", 16), data: BigInt(`0x${data}`) },
				...(inode === undefined ? {} : { inode: BigInt(`0x${inode}`) }),
			});
			continue;
		}
		const colon = line.indexOf(":");
		if (colon < 0) continue;
		const [name, value] = [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
		if (name === "lock") locks.push(parseLock(value));
		else fields.set(name, value);
	}
	return {
		position: BigInt(fields.get("pos") ?? 0),
		flags: Number.parseInt(fields.get("flags") ?? "0", 8),
		locks,
		targets,
		lines,
		field: (name) => fields.get(name),
	};
}

/** `(5, 250)`, seconds and nanoseconds, as nanoseconds. */
export function nanosecondsIn(pair: string | undefined): bigint {
	const [, seconds = 0, rest = 0] = /^\((\d+), (\d+)\)$/.exec(pair ?? "") ?? [];
	return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}
