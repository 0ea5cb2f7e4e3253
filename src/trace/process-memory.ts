import { openSync, readSync, writeSync } from "node:fs";
import { type Address, hex, TASK_SIZE } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { attempt, type ByteSource, closeOnce } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { pathOfMemory } from "../proc/links.ts";

/** The memory of a living process, by address. Protections do not matter to whoever may trace it. */
export interface ProcessMemory {
	/** Offsets are addresses. Pages that were never touched read as zeros; guard pages and unmapped addresses cannot be read. */
	readonly source: ByteSource;
	/** The bytes at an address, or `undefined` where not all of them can be read. */
	peek(at: Address, length: number): Buffer | undefined;
	write(at: Address, bytes: Uint8Array): void;
	close(): void;
}

/**
 * @param pour How its source copies bytes into a file without JavaScript (see `ByteSource.pour`).
 * @throws NecromancerError ERR_IO where it is gone or not ours to trace.
 */
export function openMemory(pid: number, pour?: ByteSource["pour"]): ProcessMemory {
	const name = pathOfMemory(pid);
	const fd = attempt(name, () => openSync(name, "r+"));
	const peek = (at: bigint, length: number): Buffer | undefined => {
		const buffer = Buffer.alloc(length);
		try {
			for (let done = 0; done < length; ) {
				const count = readSync(fd, buffer, done, length - done, at + BigInt(done));
				if (count === 0) return undefined;
				done += count;
			}
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code === "EIO") return undefined;
			return attempt(name, () => {
				throw cause;
			});
		}
		return buffer;
	};
	return {
		source: { name, fd, size: TASK_SIZE, read: peek, close: () => {}, ...defined({ pour }) },
		peek,
		write: (at, bytes) => {
			const count = attempt(name, () => writeSync(fd, bytes, 0, bytes.length, Number(at)));
			if (count === bytes.length) return;
			refuse("ERR_IO", {
				subject: name,
				finding: `took ${count} bytes at ${hex(at)}`,
				expectation: `of ${bytes.length}`,
			});
		},
		close: closeOnce(fd),
	};
}
