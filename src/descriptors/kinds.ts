import type { Extent } from "../bytes/extent.ts";
import type { Look, OpenDescriptor } from "./ask.ts";
import { epoll } from "./epoll.ts";
import { eventfd } from "./eventfd.ts";
import { fanotify } from "./fanotify.ts";
import { fifo } from "./fifo.ts";
import { file } from "./file.ts";
import { inetSocket } from "./inet-socket.ts";
import { inotify } from "./inotify.ts";
import type { DescriptorKind, Sighting } from "./kind.ts";
import { memfd } from "./memfd.ts";
import { namespace } from "./namespace.ts";
import { bpfMap, external, netlinkSocket, packetSocket, tun, unknown } from "./only-named.ts";
import { pidfd } from "./pidfd.ts";
import { pipe } from "./pipe.ts";
import type { Pipe } from "./pipe-queue.ts";
import { signalfd } from "./signalfd.ts";
import { socketPair } from "./socket-pair.ts";
import { timerfd } from "./timerfd.ts";
import { tty } from "./tty.ts";
import { unixSocket } from "./unix-socket.ts";

/** Every kind, in the order in which a living descriptor is asked whether it is of it. */
const table = {
	pipe,
	"socket-pair": socketPair,
	eventfd,
	epoll,
	signalfd,
	timerfd,
	memfd,
	"inet-socket": inetSocket,
	"unix-socket": unixSocket,
	"packet-socket": packetSocket,
	"netlink-socket": netlinkSocket,
	inotify,
	fanotify,
	pidfd,
	"bpf-map": bpfMap,
	namespace,
	tty,
	fifo,
	file,
	tun,
	external,
	unknown,
};

type Table = typeof table;

export type Kind = keyof Table;

type DescriptionOf<K extends Kind> = Table[K] extends DescriptorKind<infer D> ? D : never;

/** What a descriptor refers to: an open file description (open(2)). */
export type Description = { readonly [K in Kind]: DescriptionOf<K> }[Kind];

/** A kind that forgets a direction, or stands under another's name, does not compile. */
export const kinds = table satisfies {
	readonly [K in Kind]: DescriptorKind<Extract<Description, { readonly kind: K }>>;
};

/** What is known of a kind. The only place where a description's type is taken on its kind's word. */
const ofKind = <D extends Description>(kind: Kind): DescriptorKind<D> => kinds[kind] as unknown as DescriptorKind<D>;

export const kindOf = <D extends Description>({ kind }: D): DescriptorKind<D> => ofKind<D>(kind);

/** In the order of the table. */
export const allKinds = (Object.keys(kinds) as Kind[]).map((name) => ({ name, kind: ofKind(name) }));

const byType: ReadonlyMap<number, DescriptorKind<Description>> = new Map(
	allKinds.flatMap(({ kind }) => kind.images.types.map((type) => [type, kind])),
);

/** The kind of CRIU's file entries of a type. */
export const kindOfType = (type: number): DescriptorKind<Description> => byType.get(type) ?? ofKind("unknown");

/** A descriptor of a living process, and which kind it is of. */
export interface Seen extends Sighting<Description> {
	readonly kind: Kind;
}

/** What a descriptor of a living process refers to, as far as its link and its inode tell. */
export function see(open: OpenDescriptor, look: Look): Seen {
	for (const { name, kind } of allKinds) {
		const sighting = kind.living.see(open, look);
		if (sighting !== undefined) return { kind: name, ...sighting };
	}
	throw new RangeError(`${open.link} is of no kind, not even of an unknown one`);
}

/** The name it was opened by, for kinds that have one. */
export const pathOf = (description: Description): string | undefined => kindOf(description).path?.(description);

/** Bytes, for kinds with an offset. */
export const positionOf = (description: Description): bigint | undefined =>
	"position" in description ? description.position : undefined;

/** What waits in pipes and sockets. */
export function waitingIn(description: Description): readonly Extent[] {
	if ("queue" in description) return description.queue.map(({ content }) => content);
	const content = pipeOf(description)?.content;
	return content === undefined ? [] : [content];
}

/** The queue of pipes and FIFOs. */
export const pipeOf = (description: Description): Pipe | undefined =>
	"pipe" in description ? description.pipe : undefined;
