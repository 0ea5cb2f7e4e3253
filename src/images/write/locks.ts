import { lockTo } from "../../criu/file-locks.ts";
import type { FileLockEntry } from "../../criu/wire/generated/schema.ts";
import { withLocksOnce } from "../../forest/locks-once.ts";
import type { Task } from "../../forest/task.ts";

/** The records of filelocks.img, of all processes. */
export const lockEntries = (processes: readonly Task[]): readonly FileLockEntry[] =>
	withLocksOnce(processes).flatMap(({ identity: { pid }, files: { locks = [] } }) =>
		locks.map(({ kind, type, breaking = false, descriptor: fd, start, length: len }) => ({
			...lockTo({ kind, type, breaking }),
			...{ pid, fd, start, len },
		})),
	);
