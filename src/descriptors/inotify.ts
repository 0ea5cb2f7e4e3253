import { defined } from "../bytes/defined.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { loss } from "../finding.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { IN_NONBLOCK, INOTIFY_IOC_SETNEXTWD } from "../linux/inotify.ts";
import { O } from "../linux/open.ts";
import type { Fdinfo } from "../proc/fdinfo.ts";
import { pathDatum, spaceDatum } from "../program/data.ts";
import type { Ask, OpenDescriptor, WatchedInode } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { handleFrom, handleIn, handleTo } from "./file-handle.ts";
import { type DescriptorKind, type FoundDescriptor, linked } from "./kind.ts";
import type { Late } from "./late.ts";
import { byOf, nodeOf } from "./node.ts";
import { addNew, addStatusFlags, type FdAllocator, type Opening, type Slot } from "./steps.ts";

/** inotify(7). What waits in it to be read nobody can put back. */
export interface Inotify extends DescriptionCommon {
	readonly kind: "inotify";
	/** Ascending by number. */
	readonly watches: readonly InotifyWatch[];
}

export interface InotifyWatch extends WatchedInode {
	/** The watch descriptor, by which events name it. */
	readonly number: number;
	/** IN_ bits. */
	readonly mask: number;
	/** Where the inode is found; absent where nobody found it. */
	readonly path?: string;
}

const LINK = "anon_inode:inotify";

export const inotify: DescriptorKind<Inotify> = {
	images: {
		types: [FdTypes.INOTIFY],
		from: (entry, images) => {
			const ify = partOf(entry, entry.ify, images);
			const watches = ify.wd.map(
				({ wd, mask, i_ino, s_dev, f_handle }): InotifyWatch => ({
					...{ number: wd, mask, inode: i_ino, device: s_dev, handle: handleFrom(f_handle) },
					...defined({ path: f_handle.path }),
				}),
			);
			return { kind: "inotify", ...commonFrom(ify), watches: ascending(watches) };
		},
		to: ({ id, flags, watches }, { owner: fown }) => {
			const wd = watches.map(({ number, mask, inode, device, handle, path }) => ({
				...{ id: 0, wd: number, mask, ignored_mask: 0, i_ino: inode, s_dev: device },
				f_handle: { ...handleTo(handle), ...defined({ path }) },
			}));
			return { type: FdTypes.INOTIFY, id, ify: { id, flags, fown, wd } };
		},
	},
	living: {
		see: (open) =>
			open.link === LINK
				? { describe: async (common, ask) => ({ kind: "inotify", ...common, watches: await watchesOf(open, ask) }) }
				: undefined,
	},
	making: {
		unopenable: () => undefined,
		open,
		finish: watch,
		arm,
		// the kernel asks for the right to read what is watched (fs/notify/inotify/inotify_user.c)
		files: ({ watches }) =>
			watches.flatMap(({ path }) =>
				path === undefined
					? []
					: [{ looks: { path }, use: "node", access: ACCESS.R_OK, apart: true, watched: true } as const],
			),
	},
	differs,
	remark: ({ watches }) =>
		watches.length === 0
			? undefined
			: `watches ${watches.map(({ number, path = "what has no path" }) => `${path} (${number})`).join(", ")}`,
};

const ascending = (watches: readonly InotifyWatch[]): readonly InotifyWatch[] =>
	[...watches].sort((a, b) => a.number - b.number);

/** A line of fdinfo for each watch, the newest first (fs/notify/fdinfo.c). Numbers are hexadecimal. */
const LINE = /^inotify wd:([0-9a-f]+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+) (.*)$/;

const watchesIn = ({ lines }: Fdinfo): readonly InotifyWatch[] =>
	ascending(
		lines.flatMap((line): InotifyWatch[] => {
			const [all, wd = "", ino, sdev = "", mask = "", rest = ""] = LINE.exec(line) ?? [];
			if (all === undefined) return [];
			return [
				{
					...{ number: Number.parseInt(wd, 16), mask: Number.parseInt(mask, 16) },
					...{ inode: BigInt(`0x${ino}`), device: Number.parseInt(sdev, 16) },
					handle: handleIn(rest),
				},
			];
		}),
	);

async function watchesOf(open: OpenDescriptor, { unread, find, report }: Ask): Promise<readonly InotifyWatch[]> {
	const subject = `descriptor ${open.number}`;
	const waiting = await unread(open);
	if (waiting > 0)
		report(loss("inotify", subject, `held ${waiting} bytes of events that nobody had read; they are gone`));
	const watches: InotifyWatch[] = [];
	const seen = watchesIn(open.info);
	const paths = await find(seen);
	for (const [i, watch] of seen.entries()) {
		const path = paths[i];
		if (path === undefined) report(loss("inotify", subject, `${unfound(watch)}; the watch is gone`));
		else watches.push({ ...watch, path });
	}
	return watches;
}

const unfound = ({ number, inode, device }: InotifyWatch): string =>
	`its watch ${number} is on inode ${inode} of device ${device >>> 20}:${device & 0xf_ffff}, of which no path is known`;

/** Without its watches, and so that reading it never waits. */
function open(slot: Slot<Inotify>, fds: FdAllocator): void {
	const what = `descriptor ${slot.number}`;
	addNew(fds, slot, "inotify_init1", (closing) => [BigInt(IN_NONBLOCK | closing)], what);
}

/** The kernel gives numbers from 1 on, each higher than all before. */
function watch(slot: Slot<Inotify>, opening: Opening): void {
	const { number: own, content } = slot;
	const { add, report } = opening;
	const fd = BigInt(own);
	let next = 1;
	for (const watch of content.watches) {
		const { number, mask, path } = watch;
		if (path === undefined) {
			report(loss("inotify", `descriptor ${own}`, `${unfound(watch)}; the watch is gone`));
			continue;
		}
		const node = nodeOf(path, opening, { by: byOf(slot) });
		if (number !== next)
			add("ioctl", [fd, BigInt(INOTIFY_IOC_SETNEXTWD), BigInt(number)], `the next watch of ${own} is ${number}`);
		const place = pathDatum(`path of watch ${number} of ${own}`, pathOfDescriptor(node.number));
		add("inotify_add_watch", [fd, place, BigInt(mask)], `${own} watches ${path}`, {
			expect: { exactly: BigInt(number) },
		});
		next = number + 1;
	}
}

/** Bytes that are read at a time: some events with the longest names. */
const EVENTS = 4096;

/** What the making of the process had it see is read, and forgotten. */
function arm({ number, content }: Slot<Inotify>, { add }: Late): void {
	const events = spaceDatum(`events of ${number}`, EVENTS, 8);
	add("read", [BigInt(number), events, BigInt(EVENTS)], `what ${number} has seen meanwhile`, { expect: "until-error" });
	addStatusFlags({ add }, BigInt(number), O.NONBLOCK, content.flags);
}

function differs({ watches }: Inotify, found: FoundDescriptor): string | undefined {
	const other = linked(LINK)(undefined, found);
	if (other !== undefined) return other;
	const words = (all: readonly InotifyWatch[]): string =>
		all.map(({ number, mask }) => `${number} (0x${mask.toString(16)})`).join(", ") || "nothing";
	const [expected, has] = [words(watches.filter(({ path }) => path !== undefined)), words(watchesIn(found.info))];
	return expected === has ? undefined : `has watches ${has}, expected ${expected}`;
}
