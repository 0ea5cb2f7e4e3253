import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { type Directory, makePrivate, OWNER_ONLY_FILE } from "../bytes/directory.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { isOthersToFill, isOthersToWrite, isOurs } from "../bytes/owners.ts";
import { attemptWrite } from "../bytes/sink.ts";
import { attempt, O_PATH } from "../bytes/source.ts";
import { refuse } from "../errors.ts";

/** Bytes at a time. */
const PIECE = 1 << 20;
const BLOCK = 4096;
const zeros = Buffer.alloc(BLOCK);

/** What file systems that cannot share blocks say to FICLONE. */
const UNSHARED: readonly string[] = ["ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY", "EPERM", "EBADF"];

/**
 * Copies an image of a donor into a file of ours, mode 0600. Owner and type are checked on the fd that is copied. The copy
 * shares its blocks with it where the file system can do that; elsewhere holes stay holes.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT when it is no regular file; ERR_OWNER when it is not the donor's owner's; ERR_IO;
 *   the signal's reason.
 */
export async function copyKept(
	donor: Directory,
	from: string,
	target: Directory,
	to: string,
	signal?: AbortSignal,
): Promise<void> {
	const fd = openImage(donor, from);
	const name = target.nameOf(to);
	const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
	try {
		await copyFile(pathOfDescriptor(fd), target.at(to), COPYFILE_EXCL | COPYFILE_FICLONE_FORCE);
	} catch (cause) {
		if (!UNSHARED.includes((cause as NodeJS.ErrnoException).code ?? ""))
			attemptWrite(name, () => {
				throw cause;
			});
		await copyBytes(fd, donor.nameOf(from), target.at(to), name, signal);
	} finally {
		closeSync(fd);
	}
	makePrivate(target, to);
}

/** Whether an image may keep its inode when its directory is patched: only if nobody else can have it open for writing. */
export function mayStay(donor: Directory, entry: string): boolean {
	const dir = donor.opened;
	if (Number(dir.uid) !== process.geteuid?.() || isOthersToFill(dir)) return false;
	const fd = openImage(donor, entry);
	try {
		const file = fstatSync(fd, { bigint: true });
		return file.uid === dir.uid && file.nlink === 1n && !isOthersToWrite(file) && (file.mode & 0o020n) === 0n;
	} finally {
		closeSync(fd);
	}
}

/** Opens an image after checking its type by O_PATH: opening a FIFO would block, a device have side effects. */
export function openImage(dir: Directory, entry: string): number {
	const { O_RDONLY, O_NOFOLLOW, O_NOCTTY } = constants;
	const name = dir.nameOf(entry);
	const no = (): never =>
		refuse("ERR_IMAGE_CORRUPT", { subject: name, finding: "is no regular file", expectation: "expected an image" });
	let at: number;
	try {
		at = openSync(dir.at(entry), O_PATH | O_NOFOLLOW);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === "ENOENT") return no();
		return attempt(name, () => {
			throw cause;
		});
	}
	try {
		const file = fstatSync(at, { bigint: true });
		if (!file.isFile()) no();
		requireOwner(dir, file, name);
		return attempt(name, () => openSync(pathOfDescriptor(at), O_RDONLY | O_NOCTTY));
	} finally {
		closeSync(at);
	}
}

/** Refuses a file of another owner: the directory's owner may have linked a file there that he cannot read himself. */
function requireOwner(dir: Directory, file: { uid: bigint; gid: bigint; mode: bigint; nlink: bigint }, name: string) {
	const around = dir.opened;
	if (!isOthersToFill(around) || (file.mode & 0o004n) !== 0n) return;
	const own = isOurs(around.uid) ? isOurs(file.uid) && file.nlink === 1n : file.uid === around.uid;
	if (own) return;
	refuse("ERR_OWNER", {
		subject: name,
		finding: `belongs to user ${file.uid}, in a directory ${isOurs(around.uid) ? "where others may put files" : `of user ${around.uid}`}`,
		expectation: "expected an image that whoever put it there may read",
		remedy: "copy the images to a directory of your own",
	});
}

async function copyBytes(
	from: number,
	donor: string,
	path: string,
	name: string,
	signal: AbortSignal | undefined,
): Promise<void> {
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
	const to = attempt(name, () => openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, OWNER_ONLY_FILE));
	try {
		const buffer = Buffer.allocUnsafe(PIECE);
		for (let at = 0; ; ) {
			// let an abort signal in: the file may be very long
			await new Promise((done) => setImmediate(done));
			signal?.throwIfAborted();
			const count = attempt(donor, () => readSync(from, buffer, 0, PIECE, at));
			if (count === 0) {
				attemptWrite(name, () => ftruncateSync(to, at));
				return;
			}
			for (const [start, end] of dense(buffer.subarray(0, count)))
				for (let done = start; done < end; )
					done += attemptWrite(name, () => writeSync(to, buffer, done, end - done, at + done));
			at += count;
		}
	} finally {
		closeSync(to);
	}
}

/** The stretches of `bytes` that are not whole blocks of zeros. */
function* dense(bytes: Buffer): Generator<readonly [start: number, end: number]> {
	let start = 0;
	for (let at = 0; at < bytes.length; at += BLOCK) {
		const end = Math.min(bytes.length, at + BLOCK);
		if (bytes[at] !== 0 || bytes.compare(zeros, 0, end - at, at, end) !== 0) continue;
		if (start < at) yield [start, at];
		start = end;
	}
	if (start < bytes.length) yield [start, bytes.length];
}
