import { defined } from "../bytes/defined.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { caution, loss } from "../finding.ts";
import { CAP } from "../linux/credentials.ts";
import { FAN, FAN_MARK } from "../linux/fanotify.ts";
import { ACCESS, AT_FDCWD, F, FD_CLOEXEC } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { pathDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { type FanotifyMark, fanotifyIn, markWords, unfitWords } from "./fanotify-marks.ts";
import { nowhere } from "./file.ts";
import { handleFrom, handleTo } from "./file-handle.ts";
import { type DescriptorKind, type FoundDescriptor, linked } from "./kind.ts";
import { byOf, nodeOf } from "./node.ts";
import { addStatusFlags, type FdAllocator, type Opening, type Slot } from "./steps.ts";

/** fanotify(7). What waits in it to be read nobody can put back. */
export interface Fanotify extends DescriptionCommon {
	readonly kind: "fanotify";
	/** FAN_ flags that it was made with. */
	readonly groupFlags: number;
	/** O_ flags of the files that its events bring. */
	readonly eventFlags: number;
	/** As fdinfo tells them. */
	readonly marks: readonly FanotifyMark[];
	/** It is made with its user's rights alone. */
	readonly unaided?: true;
}

const LINK = /^anon_inode:\[?fanotify/;

/** `mark_type` of CRIU's entries. */
const [INODE, MOUNT] = [1, 2];

export const fanotify: DescriptorKind<Fanotify> = {
	images: {
		types: [FdTypes.FANOTIFY],
		from: (entry, images) => {
			const ffy = partOf(entry, entry.ffy, images);
			const marks = ffy.mark.map(({ mflags, mask, ignored_mask, s_dev, ie, me }): FanotifyMark => {
				const common = { flags: mflags, mask, ignored: ignored_mask };
				if (ie === undefined) {
					const { mnt_id: mount, path } = partOf(entry, me, images);
					return { on: "mount", ...common, mount, device: s_dev, ...defined({ path: fromRoot(path) }) };
				}
				const { i_ino: inode, f_handle: handle } = ie;
				return {
					...{ on: "inode", ...common, inode, device: s_dev, handle: handleFrom(handle) },
					...defined({ path: fromRoot(handle.path) }),
				};
			});
			return { kind: "fanotify", ...commonFrom(ffy), groupFlags: ffy.faflags, eventFlags: ffy.evflags, marks };
		},
		to: ({ id, flags, groupFlags: faflags, eventFlags: evflags, marks }, { owner: fown }) => {
			const mark = marks.map((it) => {
				const common = { id, mflags: it.flags, mask: it.mask, ignored_mask: it.ignored, s_dev: it.device };
				const { path } = it;
				return it.on === "mount"
					? { type: MOUNT, ...common, me: { mnt_id: it.mount, ...defined({ path }) } }
					: {
							type: INODE,
							...common,
							ie: { i_ino: it.inode, f_handle: { ...handleTo(it.handle), ...defined({ path }) } },
						};
			});
			return { type: FdTypes.FANOTIFY, id, ffy: { id, flags, fown, faflags, evflags, mark } };
		},
	},
	living: {
		see: (open) => {
			if (!LINK.test(open.link)) return undefined;
			const seen = fanotifyIn(open.info);
			const unfit = seen.unknown ?? unfitWords(seen);
			if (unfit !== undefined) return nowhere(unfit);
			const { groupFlags, eventFlags } = seen;
			return {
				describe: async (common, { unread, find, mountPoint, report }) => {
					const subject = `descriptor ${open.number}`;
					const waiting = await unread(open);
					if (waiting > 0)
						report(loss("fanotify", subject, `held ${waiting} bytes of events that nobody had read; they are gone`));
					const inodes = seen.marks.filter((mark) => mark.on === "inode");
					const paths = new Map((await find(inodes)).map((path, i) => [inodes[i], path]));
					const marks: FanotifyMark[] = [];
					for (const mark of seen.marks) {
						const path = mark.on === "inode" ? paths.get(mark) : await mountPoint(mark.mount);
						if (path === undefined) report(loss("fanotify", subject, unfound(mark)));
						else marks.push({ ...mark, path });
					}
					return { kind: "fanotify", ...common, groupFlags, eventFlags, marks };
				},
			};
		},
	},
	making: {
		unopenable: unfitWords,
		open,
		finish: watch,
		unaided: (description) => ({ ...description, unaided: true }),
		// the kernel asks for the right to read what is watched (fs/notify/fanotify/fanotify_user.c)
		files: ({ marks }) =>
			marks.flatMap(({ path }) =>
				path === undefined
					? []
					: [{ looks: { path }, use: "node", access: ACCESS.R_OK, apart: true, watched: true } as const],
			),
	},
	differs,
	remark: ({ marks }) => (marks.length === 0 ? undefined : `watches ${marks.map(placeOf).join(", ")}`),
};

/** CRIU's paths begin at the root of the process, whether they say so or not. */
const fromRoot = (path: string | undefined): string | undefined => path?.replace(/^(\.?\/)?/, "/");

const placeOf = ({ on, path = "what has no path" }: FanotifyMark): string =>
	on === "mount" ? `the mount ${path}` : path;

const unfound = (mark: FanotifyMark): string =>
	`its mark of ${mark.on === "mount" ? `mount ${mark.mount}` : `inode ${mark.inode}`} on device ${mark.device >>> 20}:${mark.device & 0xf_ffff} has no path that is known; the mark is gone`;

/** What others than its user may lend him. */
const rightsFor = ({ unaided }: Fanotify): bigint => (unaided === true ? 0n : 1n << BigInt(CAP.SYS_ADMIN));

/** Without its marks. The kernel remembers the flags that it is made with, also those that belong to the descriptor. */
function open({ number, closeOnExec, content }: Slot<Fanotify>, fds: FdAllocator): void {
	const { groupFlags, eventFlags, flags } = content;
	// who stands as the user already has no more than that
	fds.actor.asCaller();
	fds.actor.asUser(rightsFor(content));
	const args = [BigInt(groupFlags), BigInt(eventFlags)] as const;
	const landed = fds.open("fanotify_init", args, `descriptor ${number}, a fanotify group`);
	fds.moveTo(landed, number, closeOnExec);
	if (landed === number && closeOnExec !== ((groupFlags & FAN.CLOEXEC) !== 0))
		fds.add(
			"fcntl",
			[BigInt(number), BigInt(F.SETFD), closeOnExec ? BigInt(FD_CLOEXEC) : 0n],
			"whether exec closes it",
		);
	addStatusFlags(fds, BigInt(number), (groupFlags & FAN.NONBLOCK) === 0 ? 0 : O.NONBLOCK, flags);
	fds.actor.asCaller();
}

/** When all else is open. */
function watch(slot: Slot<Fanotify>, opening: Opening): void {
	const { number, content } = slot;
	const { add, report, actor } = opening;
	const subject = `descriptor ${number}`;
	for (const mark of content.marks) {
		const { path, flags, mask, ignored } = mark;
		if (path === undefined) {
			report(loss("fanotify", subject, unfound(mark)));
			continue;
		}
		if (mark.on === "mount")
			report(
				caution("fanotify", subject, `watches the mount that ${path} is on now, also what the restore does there`),
			);
		actor.asCaller();
		const node = nodeOf(path, opening, { by: byOf(slot), keeping: rightsFor(content) });
		const place = pathDatum(`path of a mark of ${number}`, pathOfDescriptor(node.number));
		const how = FAN_MARK.ADD | (mark.on === "mount" ? FAN_MARK.MOUNT : 0) | (flags & FAN_MARK.EVICTABLE);
		const set = (more: number, events: number, why: string): void => {
			if (events !== 0)
				add("fanotify_mark", [BigInt(number), BigInt(how | more), BigInt(events), AT_FDCWD, place], why);
		};
		const kept = flags & (FAN_MARK.IGNORED_SURV_MODIFY | FAN_MARK.IGNORE);
		set(0, mask, `${number} watches ${placeOf(mark)}`);
		set(
			kept | ((flags & FAN_MARK.IGNORE) === 0 ? FAN_MARK.IGNORED_MASK : 0),
			ignored,
			`what ${number} ignores of ${placeOf(mark)}`,
		);
	}
	actor.asCaller();
}

function differs({ groupFlags, eventFlags, marks }: Fanotify, found: FoundDescriptor): string | undefined {
	if (!LINK.test(found.link)) return linked("anon_inode:[fanotify]")(undefined, found);
	const seen = fanotifyIn(found.info);
	const words = (all: readonly FanotifyMark[]): string => all.map(markWords).sort().join(", ") || "nothing";
	const text = (flags: number, events: number, marked: string): string =>
		`flags 0x${flags.toString(16)}, event flags 0x${events.toString(16)}, marks of ${marked}`;
	const expected = text(groupFlags, eventFlags, words(marks.filter(({ path }) => path !== undefined)));
	const has = text(seen.groupFlags, seen.eventFlags, words(seen.marks));
	return expected === has ? undefined : `has ${has}, expected ${expected}`;
}
