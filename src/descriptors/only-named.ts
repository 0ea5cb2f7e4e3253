import { FdTypes, type FileEntry } from "../criu/wire/generated/schema.ts";
import { S_IFCHR, S_IFMT } from "../linux/stat.ts";
import type { SocketFamily } from "../proc/sockets.ts";
import type { Look, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, type EntryCommon, reserved } from "./entries.ts";
import { nowhere } from "./file.ts";
import type { DescriptorKind } from "./kind.ts";

/** A description of which nothing but the kind is known. Whoever learns to open one gives it a file of its own. */
export interface OnlyNamed<K extends string> extends DescriptionCommon {
	readonly kind: K;
}

interface Named {
	readonly type: number;
	/** The part of its entry. */
	part(entry: FileEntry): EntryCommon | undefined;
	/** What it is, in words. */
	words(): string;
	/** The same of a living one; `undefined` where it is of another kind. */
	see(open: OpenDescriptor, look: Look): string | undefined;
}

const onlyNamed = <K extends string>(kind: K, { type, part, words, see }: Named): DescriptorKind<OnlyNamed<K>> => ({
	images: {
		types: [type],
		from: (entry) => ({ kind, ...commonFrom({ ...part(entry), id: entry.id }) }),
		to: ({ id }, writer) => reserved(id, kind, writer),
	},
	living: {
		see: (open, look) => {
			const seen = see(open, look);
			return seen === undefined ? undefined : nowhere(seen);
		},
	},
	making: { unopenable: words, open: "never" },
	differs: () => undefined,
});

/** @param words of kinds that /proc calls otherwise than we do. */
const linkedAs =
	(pattern: RegExp, words: string) =>
	({ link }: OpenDescriptor): string | undefined =>
		pattern.test(link) ? words : undefined;

const socketOf =
	(family: SocketFamily) =>
	({ link }: OpenDescriptor, look: Look): string | undefined => {
		const socket = isSocket(link) ? look.socket(link) : undefined;
		return socket?.family === family ? socket.words : undefined;
	};

const isSocket = (link: string): boolean => link.startsWith("socket:");

export const packetSocket = onlyNamed("packet-socket", {
	type: FdTypes.PACKETSK,
	part: ({ psk }) => psk,
	words: () => "a packet socket",
	see: socketOf("packet"),
});

export const netlinkSocket = onlyNamed("netlink-socket", {
	type: FdTypes.NETLINKSK,
	part: ({ nlsk }) => nlsk,
	words: () => "a netlink socket",
	see: socketOf("netlink"),
});

export const bpfMap = onlyNamed("bpf-map", {
	type: FdTypes.BPFMAP,
	part: ({ bpf }) => bpf,
	words: () => "a BPF map",
	see: linkedAs(/^anon_inode:\[?bpf/, "a BPF object"),
});

export const tun = onlyNamed("tun", {
	type: FdTypes.TUNF,
	part: () => undefined,
	words: () => "a network tunnel",
	// of a living process it is a device, which has no kind of its own
	see: () => undefined,
});

export const external = onlyNamed("external", {
	type: FdTypes.EXT,
	part: ({ ext }) => ext,
	words: () => "a file of a CRIU plugin",
	see: () => undefined,
});

/** What no other kind is. It comes last. */
export const unknown = onlyNamed("unknown", {
	type: FdTypes.UND,
	part: () => undefined,
	words: () => "a file of an unknown kind",
	see: ({ link, stat }, look) => {
		if (isSocket(link)) return look.socket(link).words;
		if (/^anon_inode:\[?io_uring/.test(link)) return "a ring of io_uring";
		if (!link.startsWith("/")) return link;
		return (Number(stat.mode) & S_IFMT) === S_IFCHR ? `the device ${link}` : `the special file ${link}`;
	},
});
