import { defined } from "../bytes/defined.ts";
import { u32, viewOf } from "../bytes/layout.ts";
import { FdTypes, type FileEntry, type InetSkEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { AF, IPPROTO, socketAddressText } from "../linux/socket.ts";
import { microsecondsOf, timevalOf } from "../linux/time.ts";
import { commonFrom, type EntryImages, type EntryWriter, partOf, reserved } from "./entries.ts";
import { type InetSocket, unopenable } from "./inet-description.ts";
import { seeInetSocket } from "./inet-living.ts";
import { openInetSocket } from "./inet-making.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import { entriesOf, optionsIn } from "./socket-options.ts";

export const inetSocket: DescriptorKind<InetSocket> = {
	images: { types: [FdTypes.INETSK], from, to },
	living: { see: seeInetSocket },
	making: { unopenable, open: openInetSocket, unaided: (description) => ({ ...description, unaided: true }) },
	differs: linked("socket:["),
	path: ({ source }) => (source.port === 0 ? undefined : socketAddressText(source)),
};

function from(entry: FileEntry, images: EntryImages): InetSocket {
	const isk = partOf(entry, entry.isk, images);
	const { family, proto: protocol, opts } = isk;
	const length = family === AF.INET ? 4 : 16;
	return {
		kind: "inet-socket",
		...commonFrom(isk),
		...{ inode: isk.ino, family, type: isk.type, protocol, state: isk.state, backlog: isk.backlog },
		source: { port: portIn(isk.src_port, entry, images), address: bytesOfWords(isk.src_addr, length) },
		target: { port: portIn(isk.dst_port, entry, images), address: bytesOfWords(isk.dst_addr, length) },
		options: optionsIn({ opts, ...defined({ tcp_opts: isk.tcp_opts, ip_opts: isk.ip_opts }) }, family, protocol),
		timeouts: {
			send: microsecondsOf({ tv_sec: opts.so_snd_tmo_sec, tv_usec: opts.so_snd_tmo_usec }),
			receive: microsecondsOf({ tv_sec: opts.so_rcv_tmo_sec, tv_usec: opts.so_rcv_tmo_usec }),
		},
		...defined({ onlyV6: isk.v6only, linger: opts.so_linger, device: opts.so_bound_dev, namespace: isk.ns_id }),
		...(opts.so_filter.length === 0 ? {} : { filter: opts.so_filter }),
		...(isk.shutdown === undefined || isk.shutdown === 0 ? {} : { shutdown: isk.shutdown }),
	};
}

function to(socket: InetSocket, writer: EntryWriter): FileEntry {
	const { id, flags, inode, family, type, protocol, state, source, target, backlog, timeouts } = socket;
	const what = unopenable(socket);
	// its queues and sequence numbers are in an image of their own
	if (what !== undefined && protocol === IPPROTO.TCP) return reserved(id, what, writer);
	const { opts, tcp_opts, ip_opts } = entriesOf(socket.options, family, protocol);
	const [sending, receiving] = [timevalOf(timeouts.send), timevalOf(timeouts.receive)];
	const times = {
		...{ so_snd_tmo_sec: sending.tv_sec, so_snd_tmo_usec: sending.tv_usec },
		...{ so_rcv_tmo_sec: receiving.tv_sec, so_rcv_tmo_usec: receiving.tv_usec },
	};
	const isk: InetSkEntry = {
		...{ id, ino: inode, family, type, proto: protocol, state, flags, backlog, fown: writer.owner },
		...{ src_port: source.port, src_addr: wordsOfBytes(source.address) },
		...{ dst_port: target.port, dst_addr: wordsOfBytes(target.address) },
		opts: {
			...{ so_sndbuf: 0, so_rcvbuf: 0, ...opts, ...times, so_filter: socket.filter ?? [] },
			...defined({ so_linger: socket.linger, so_bound_dev: socket.device }),
		},
		...(protocol === IPPROTO.TCP ? { tcp_opts } : {}),
		...(Object.keys(ip_opts).length === 0 ? {} : { ip_opts }),
		...defined({ v6only: socket.onlyV6, ns_id: socket.namespace, shutdown: socket.shutdown }),
	};
	return { type: FdTypes.INETSK, id, isk };
}

const MOST_PORT = 0xffff;

function portIn(port: number, { id }: FileEntry, { subject }: EntryImages): number {
	if (port <= MOST_PORT) return port;
	return refuse("ERR_IMAGE_CORRUPT", {
		subject,
		finding: `socket ${id} has port ${port}`,
		expectation: `expected at most ${MOST_PORT}`,
	});
}

/** The words are as they lie in memory, in network order. */
function bytesOfWords(words: readonly number[], length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	for (const [i, word] of words.slice(0, length / u32.size).entries()) u32.write(viewOf(bytes), i * u32.size, word);
	return bytes;
}

const wordsOfBytes = (bytes: Uint8Array): number[] =>
	Array.from({ length: bytes.length / u32.size }, (_, i) => u32.read(viewOf(bytes), i * u32.size));
