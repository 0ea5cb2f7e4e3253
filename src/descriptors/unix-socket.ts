import { defined } from "../bytes/defined.ts";
import { FdTypes, type FileEntry, type UnixSkEntry } from "../criu/wire/generated/schema.ts";
import { AF_UNIX } from "../linux/io.ts";
import { microsecondsOf, timevalOf } from "../linux/time.ts";
import { isAbstract, unixName } from "../linux/unix.ts";
import { type BesideEntry, commonFrom, type EntryImages, type EntryWriter, partOf } from "./entries.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import { entriesOf, optionsIn } from "./socket-options.ts";
import { groupsOf, nameOf, placeOf, type Tied, type UnixMessage, type UnixSocket } from "./unix-description.ts";
import { seeUnixSocket } from "./unix-living.ts";
import { openUnixSocket } from "./unix-making.ts";
import { directoriesOf, unopenable } from "./unix-place.ts";

export const unixSocket: DescriptorKind<UnixSocket> = {
	images: { types: [FdTypes.UNIXSK], from, to, beside },
	living: { see: seeUnixSocket },
	making: { unopenable, open: openUnixSocket, files: directoriesOf },
	differs: linked("socket:["),
	shares: ({ group }) => ({ of: "pairs", id: group }),
	path: nameOf,
};

/** `uflags`: the socket is somebody else's, and only named (criu/include/sockets.h). */
const EXTERN = 1;

const groups = new WeakMap<EntryImages["entries"], ReadonlyMap<number, number>>();

/** Of all unix sockets of a directory. */
function groupsIn(entries: EntryImages["entries"]): ReadonlyMap<number, number> {
	const known = groups.get(entries);
	if (known !== undefined) return known;
	const found = groupsOf(
		[...entries.values()].flatMap(({ usk }) => (usk === undefined || (usk.uflags & EXTERN) !== 0 ? [] : [tied(usk)])),
	);
	groups.set(entries, found);
	return found;
}

const tied = (usk: UnixSkEntry): Tied => ({
	...{ inode: usk.ino, type: usk.type, state: usk.state },
	...(usk.peer === 0 ? {} : { peer: usk.peer }),
	...defined({ name: unixName(usk.name), directory: usk.name_dir }),
});

function from(entry: FileEntry, images: EntryImages): UnixSocket {
	const usk = partOf(entry, entry.usk, images);
	const { opts, file_perms: file } = usk;
	const known = groupsIn(images.entries);
	return {
		kind: "unix-socket",
		...commonFrom(usk),
		...tied(usk),
		backlog: usk.backlog,
		...defined({ file, namespace: usk.ns_id }),
		...(usk.deleted === true ? { deleted: true } : {}),
		shutdown: usk.shutdown ?? 0,
		options: optionsIn({ opts }, AF_UNIX, 0),
		timeouts: {
			send: microsecondsOf({ tv_sec: opts.so_snd_tmo_sec, tv_usec: opts.so_snd_tmo_usec }),
			receive: microsecondsOf({ tv_sec: opts.so_rcv_tmo_sec, tv_usec: opts.so_rcv_tmo_usec }),
		},
		group: known.get(usk.ino) ?? usk.ino,
		...(usk.peer !== 0 && !known.has(usk.peer) ? { stranger: true } : {}),
		queue: queueOf(entry.id, images),
	};
}

function queueOf(id: number, images: EntryImages): readonly UnixMessage[] {
	const senders = images.beside.file(id)?.senders ?? [];
	return (images.packets.get(id) ?? []).map((message, i) => ({
		...message,
		...defined({ from: unixName(senders[i] ?? new Uint8Array()) }),
	}));
}

/** CRIU keeps no names of senders. */
function beside({ queue }: UnixSocket): BesideEntry | undefined {
	return queue.some(({ from }) => from !== undefined)
		? { senders: queue.map(({ from }) => from ?? new Uint8Array()) }
		: undefined;
}

function to(socket: UnixSocket, writer: EntryWriter): FileEntry {
	const { id, flags, inode: ino, type, state, backlog, peer = 0, name, directory, file, timeouts, shutdown } = socket;
	const { opts } = entriesOf(socket.options, AF_UNIX, 0);
	const [sending, receiving] = [timevalOf(timeouts.send), timevalOf(timeouts.receive)];
	for (const message of socket.queue) writer.packet(message);
	return {
		type: FdTypes.UNIXSK,
		id,
		usk: {
			...{ id, ino, type, state, flags, uflags: 0, backlog, peer, fown: writer.owner },
			opts: {
				...{ so_sndbuf: 0, so_rcvbuf: 0, ...opts, so_filter: [] },
				...{ so_snd_tmo_sec: sending.tv_sec, so_snd_tmo_usec: sending.tv_usec },
				...{ so_rcv_tmo_sec: receiving.tv_sec, so_rcv_tmo_usec: receiving.tv_usec },
			},
			name: name === undefined ? new Uint8Array() : isAbstract(name) ? name : Buffer.concat([name, Buffer.of(0)]),
			...(shutdown === 0 ? {} : { shutdown }),
			...(placeOf(socket) === undefined ? {} : defined({ file_perms: file, name_dir: directory })),
			...defined({ ns_id: socket.namespace, deleted: socket.deleted }),
		},
	};
}
