import type { Agent } from "../agent/agent.ts";
import { extent } from "../bytes/extent.ts";
import { once } from "../bytes/once.ts";
import { fromBuffer } from "../bytes/source.ts";
import type { Ask, Look, OpenDescriptor } from "../descriptors/ask.ts";
import type { Pipe } from "../descriptors/pipe-queue.ts";
import type { Finding } from "../finding.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { pathOfLink } from "../proc/links.ts";
import type { DescriptorCopies } from "../trace/descriptors.ts";
import { inodeFinder } from "./find-inode.ts";
import type { LiveGhosts } from "./ghosts.ts";
import type { LiveObjects } from "./objects.ts";
import { deviceText, pipeKey } from "./open-files.ts";

/** What a stopped process's descriptors are asked with. */
export interface Asked {
	readonly agent: Agent;
	readonly look: Look;
	/** The first descriptor of each open file. */
	readonly firsts: readonly OpenDescriptor[];
	readonly copies: DescriptorCopies;
	readonly objects: LiveObjects;
	readonly ghosts: LiveGhosts;
	/** Those that are not dumped. */
	readonly lost: ReadonlySet<number>;
	readonly report: (finding: Finding) => void;
}

/** What can be asked about a stopped process. Pipes get their ids in the order in which they are asked for. */
export function askOf({ agent, look, firsts, copies, objects, ghosts, lost, report }: Asked): Ask {
	const pipes = new Map<string, Pipe>();
	const { pid } = look;
	const near = firsts.map(({ link: name }) => name).filter((name) => name.startsWith("/"));
	const readers = once(() => new Map(firsts.filter(isReadable).map((open) => [pipeKey(open), open])));
	const link = ({ number }: OpenDescriptor): string => pathOfLink(pid, `fd/${number}`);
	return {
		...look,
		report,
		unread: ({ number }) => copies.unread(number),
		find: inodeFinder(agent, pid, near),
		isLost: (number) => lost.has(number),
		ghost: (open, path) => ghosts.of(link(open), path, true),
		socketOptions: async ({ number }, asked) => (await copies.socketOptions([number], asked))[0] ?? [],
		isFiltered: ({ number }) => copies.isFiltered(number),
		socketName: ({ number }) => copies.socketName(number),
		object: ({ number, stat }, name) => objects.ofDescriptor(number, name, deviceText(stat.dev), stat.ino),
		pipe: async (open) => {
			const key = pipeKey(open);
			const known = pipes.get(key);
			if (known !== undefined) return known;
			const from = readers().get(key);
			const { number } = from ?? open;
			const { capacity, content } = await copies.pipe(number, from !== undefined);
			const length = BigInt(content.length);
			const pipe: Pipe = {
				// the kernel's own number, by which criu restore --inherit-fd names a pipe
				id: open.link.startsWith("/") ? pipes.size + 1 : Number(open.stat.ino),
				...(capacity > 0 ? { capacity } : {}),
				...(length === 0n ? {} : { content: extent(fromBuffer(`descriptor ${number}`, content), 0n, length) }),
			};
			pipes.set(key, pipe);
			return pipe;
		},
	};
}

const isReadable = ({ info: { flags } }: OpenDescriptor): boolean =>
	(flags & O_ACCMODE) !== O.WRONLY && (flags & O.PATH) === 0;
