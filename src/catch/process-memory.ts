import { closeSync, openSync, readSync } from "node:fs";
import { type FileOffset, fileOffset, PAGE_SIZE } from "../bytes/address.ts";
import { attempt, type ByteSource } from "../bytes/source.ts";

const PAGE = Number(PAGE_SIZE);

/**
 * The memory of a process, by address, which is to be stopped. Pages that cannot be read (beyond the end of a mapped file,
 * guard pages) are zeros: the kernel leaves holes for them in its cores.
 *
 * @throws NecromancerError ERR_IO unless we may trace it.
 */
export function processMemory(pid: number): ByteSource {
	const name = `/proc/${pid}/mem`;
	const fd = attempt(name, () => openSync(name, "r"));
	/** Bytes that were read from the start; those of a page that cannot be read are zeros. */
	const readAt = (offset: FileOffset, into: Buffer): number => {
		try {
			return readSync(fd, into, 0, into.length, offset);
		} catch (cause) {
			if (!unreadable.includes((cause as NodeJS.ErrnoException).code ?? "")) throw cause;
			const length = Math.min(into.length, PAGE - Number(offset % PAGE_SIZE));
			into.fill(0, 0, length);
			return length;
		}
	};
	return {
		name,
		size: 1n << 63n,
		read: (offset, length) => {
			const bytes = Buffer.allocUnsafe(length);
			for (let done = 0; done < length; ) {
				const count = attempt(name, () => readAt(fileOffset(offset + BigInt(done)), bytes.subarray(done)));
				// it has no memory any more
				if (count === 0) return undefined;
				done += count;
			}
			return bytes;
		},
		close: () => closeSync(fd),
	};
}

const unreadable: readonly string[] = ["EIO", "EFAULT"];
