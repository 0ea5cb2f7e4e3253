import { lockFrom } from "../../criu/file-locks.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { refuse } from "../../errors.ts";
import type { Descriptor } from "../../forest/files.ts";
import type { FileLock } from "../../forest/locks.ts";

/**
 * The locks of a process, in the order of filelocks.img.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT for locks of no kind, of no bytes, or by a descriptor that it has not.
 */
export function locksFrom(dir: ImageDir, pid: number, descriptors: readonly Descriptor[]): readonly FileLock[] {
	if (!dir.has("filelocks.img")) return [];
	const numbers = new Set(descriptors.map(({ number }) => number));
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_IMAGE_CORRUPT", { subject: `${dir.path}/filelocks.img`, finding, expectation });
	return dir.image("filelocks.img", "filelocks").records.flatMap(({ value }): FileLock[] => {
		if (value.pid !== pid) return [];
		const { fd: descriptor, flag, type, start, len: length } = value;
		const lock = lockFrom(value);
		const subject = `a lock of process ${pid} by descriptor ${descriptor}`;
		if (lock === undefined) return corrupt(`${subject} has flag ${flag} and type ${type}`, "which no lock has");
		if (!numbers.has(descriptor)) corrupt(`has ${subject}`, "which the process has not");
		if (start < 0n || length < 0n || start + length > LAST + 1n)
			corrupt(`${subject} has ${length} bytes from ${start} on`, "expected some that a file can have");
		const { breaking, ...rest } = lock;
		return [{ ...rest, descriptor, start, length, ...(breaking ? { breaking } : {}) }];
	});
}

/** The last byte that a file can have (include/linux/fs.h, OFFSET_MAX). */
const LAST = (1n << 63n) - 1n;
