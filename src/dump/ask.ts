import type { Agent } from "../agent/agent.ts";
import { extent } from "../bytes/extent.ts";
import { fromBuffer } from "../bytes/source.ts";
import type { Ask, OpenDescriptor } from "../descriptors/ask.ts";
import type { Pipe } from "../descriptors/pipe-queue.ts";
import { refuse } from "../errors.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { MissingDescriptors } from "./descriptor-policy.ts";
import type { OpenTable } from "./descriptor-tables.ts";
import { inodeFinder } from "./find-inode.ts";
import { mountFinder } from "./find-mount.ts";
import type { LiveGhosts } from "./ghosts.ts";
import { deviceText, pipeKey } from "./open-files.ts";
import type { LiveTerminals } from "./terminals.ts";
import { boundFile, messagesIn } from "./unix-sockets.ts";
import { watchedBy } from "./watched.ts";

/** A descriptor, and the table that it is in. */
export interface TableEntry {
	readonly table: OpenTable;
	readonly open: OpenDescriptor;
}

/** What all descriptor tables are asked with. */
export interface AskedTogether {
	readonly agent: Agent;
	readonly ghosts: LiveGhosts;
	readonly pipes: LivePipes;
	readonly terminals: LiveTerminals;
	/** The ids of all that are dumped, zombies among them. */
	readonly along: ReadonlySet<number>;
	readonly missing: MissingDescriptors;
}

/** Pipes and FIFOs of all processes, each once. They get their ids in the order in which they are asked for. */
export type LivePipes = (entry: TableEntry) => Promise<Pipe>;

/** @param firsts The first descriptor of each open file: whoever may read a pipe reads it. */
export function pipeTable(firsts: readonly TableEntry[]): LivePipes {
	const pipes = new Map<string, Pipe>();
	const readers = new Map(firsts.filter(({ open }) => isReadable(open)).map((entry) => [pipeKey(entry.open), entry]));
	return async (entry) => {
		const { open } = entry;
		const key = pipeKey(open);
		const known = pipes.get(key);
		if (known !== undefined) return known;
		const reader = readers.get(key);
		const { table, open: from } = reader ?? entry;
		const { capacity, content } = await table.copies.pipe(from.number, reader !== undefined);
		const length = BigInt(content.length);
		const pipe: Pipe = {
			// the kernel's own number, by which criu restore --inherit-fd names a pipe
			id: open.link.startsWith("/") ? pipes.size + 1 : Number(open.stat.ino),
			...(capacity > 0 ? { capacity } : {}),
			...(length === 0n ? {} : { content: extent(fromBuffer(`descriptor ${from.number}`, content), 0n, length) }),
		};
		pipes.set(key, pipe);
		return pipe;
	};
}

/** What can be asked about the descriptors of one table, while whoever has it stands still. */
export function askOf(table: OpenTable, { agent, ghosts, pipes, terminals, along, missing }: AskedTogether): Ask {
	const { process, look, copies, open, lost } = table;
	const { pid, objects, report } = process;
	const near = open.map(({ link }) => link).filter((link) => link.startsWith("/"));
	return {
		...look,
		report,
		terminal: (open, place) => terminals.of(agent, { pid, open }, place),
		comesAlong: ({ number }, other) => along.has(other) || (missing === "error" && refuseForeign(number, other)),
		watched: (epoll) => watchedBy(epoll, table.open, copies),
		unread: ({ number }) => copies.unread(number),
		find: inodeFinder(agent, pid, [...new Set(near)]),
		mountPoint: mountFinder(agent, pid),
		isLost: (number) => lost.has(number),
		ghost: ({ number }, path) => ghosts.of(pid, `fd/${number}`, path, true),
		socketOptions: async ({ number }, asked) => (await copies.socketOptions([number], asked))[0] ?? [],
		isFiltered: ({ number }) => copies.isFiltered(number),
		socketName: ({ number }) => copies.socketName(number),
		socketFile: ({ number }, diag) => copies.borrow(number, (socket) => boundFile(agent, pid, diag, socket)),
		messages: (open, { type }) => copies.borrow(open.number, (socket) => messagesIn(agent, open, socket, type)),
		object: ({ number, stat }, name) => objects.ofDescriptor(number, name, deviceText(stat.dev), stat.ino),
		pipe: (open) => pipes({ table, open }),
	};
}

const isReadable = ({ info: { flags } }: OpenDescriptor): boolean =>
	(flags & O_ACCMODE) !== O.WRONLY && (flags & O.PATH) === 0;

const refuseForeign = (number: number, pid: number): never =>
	refuse("ERR_UNSUPPORTED", {
		subject: `descriptor ${number}`,
		finding: `is a pidfd of process ${pid}`,
		expectation: "which is not dumped with it",
		remedy: "let /dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip",
	});
