import { FAN_PERMISSIONS, FAN_REPORT_HANDLES } from "../linux/fanotify.ts";
import type { Fdinfo } from "../proc/fdinfo.ts";
import type { WatchedInode } from "./ask.ts";
import { handleIn } from "./file-handle.ts";

/** What a fanotify group watches. */
export type FanotifyMark = InodeMark | MountMark;

interface Mark {
	/** FAN_MARK_ bits that it keeps. */
	readonly flags: number;
	/** FAN_ events that are told, and that are not. */
	readonly mask: number;
	readonly ignored: number;
	/** Where it is found; absent where nobody found it. */
	readonly path?: string;
}

interface InodeMark extends Mark, WatchedInode {
	readonly on: "inode";
}

interface MountMark extends Mark {
	readonly on: "mount";
	/** The id that the mount had. */
	readonly mount: number;
	/** Of its file system, as {@link WatchedInode} has it; 0 where that is not known. */
	readonly device: number;
}

/** A fanotify group as fdinfo shows it. */
export interface FanotifySeen {
	readonly groupFlags: number;
	readonly eventFlags: number;
	readonly marks: readonly FanotifyMark[];
	/** What it is, in words, where it has a mark that is of neither. */
	readonly unknown?: string;
}

/** The flags of a group, and a line for each mark (fs/notify/fdinfo.c). Numbers are hexadecimal. */
const GROUP = /^fanotify flags:([0-9a-f]+) event-flags:([0-9a-f]+)$/;
const MARK =
	/^fanotify (?:ino:([0-9a-f]+) sdev:([0-9a-f]+)|mnt_id:([0-9a-f]+)) mflags:([0-9a-f]+) mask:([0-9a-f]+) ignored_mask:([0-9a-f]+)/;

const hex = (digits = "0"): number => Number.parseInt(digits, 16);

export function fanotifyIn({ lines }: Pick<Fdinfo, "lines">): FanotifySeen {
	let [groupFlags, eventFlags] = [0, 0];
	const marks: FanotifyMark[] = [];
	let unknown: string | undefined;
	for (const line of lines.filter((line) => line.startsWith("fanotify "))) {
		const [isGroup, made, events] = GROUP.exec(line) ?? [];
		const [isMark, ino, sdev, mnt, mflags, mask, ignored] = MARK.exec(line) ?? [];
		if (isGroup !== undefined) [groupFlags, eventFlags] = [hex(made), hex(events)];
		else if (isMark === undefined)
			unknown = line.startsWith("fanotify sdev:")
				? "a fanotify group that watches a whole file system"
				: "a fanotify group with a mark of an unknown kind";
		else {
			const common = { flags: hex(mflags), mask: hex(mask), ignored: hex(ignored) };
			// what was ignored until the file was written to may leave nothing
			if (common.mask === 0 && common.ignored === 0) continue;
			marks.push(
				ino === undefined
					? { on: "mount", ...common, mount: hex(mnt), device: 0 }
					: { on: "inode", ...common, inode: BigInt(`0x${ino}`), device: hex(sdev), handle: handleIn(line) },
			);
		}
	}
	return { groupFlags, eventFlags, marks, ...(unknown === undefined ? {} : { unknown }) };
}

/** What a group is, in words, that this version cannot make again; `undefined` for all others. */
export function unfitWords({ groupFlags, marks }: Pick<FanotifySeen, "groupFlags" | "marks">): string | undefined {
	// whether its maker had the right to see more (CAP_SYS_ADMIN) cannot be read
	if ((groupFlags & FAN_REPORT_HANDLES) !== 0) return "a fanotify group that names files by handles (FAN_REPORT_FID)";
	// whoever opens a file would wait for a process that stands still, and we open files
	return marks.some(({ mask }) => (mask & FAN_PERMISSIONS) !== 0)
		? "a fanotify group that is asked for permission"
		: undefined;
}

/** For people, and to compare by. Ids of mounts and inodes may be others by now. */
export const markWords = ({ on, flags, mask, ignored }: FanotifyMark): string =>
	`${on === "inode" ? "an inode" : "a mount"} (0x${mask.toString(16)}${ignored === 0 ? "" : `, but 0x${ignored.toString(16)} by 0x${flags.toString(16)}`})`;
