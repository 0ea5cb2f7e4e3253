import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { defined } from "../bytes/defined.ts";
import { once } from "../bytes/once.ts";
import type { ByteSource } from "../bytes/source.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { ACCESS } from "../linux/fcntl.ts";
import type { Opener } from "../plan/opener.ts";
import { PATIENCE } from "./as-user.ts";
import type { OpenedFile } from "./judge.ts";
import {
	contentOf,
	deniedAccess,
	isOpened,
	type NoNode,
	type OpenedNode,
	openNodes,
	type TreeRoot,
	type WantedNode,
} from "./open-nodes.ts";

/** A file that is open in the agent for the process. */
export interface OwnNode extends OpenedNode {
	/** Its user may not open it himself: the restorer opens it for the process. */
	readonly lent?: true;
}

/**
 * The files of the host that one process is made with, open in an agent: no path is opened twice, and whatever is known of a file
 * is known of its descriptor.
 */
export interface OpenFiles {
	readonly agent: Agent;
	/** As whom they are opened. */
	readonly opener: Opener;
	/** The same files for somebody else, as whom the others are opened. */
	as(opener: Opener): OpenFiles;
	/**
	 * What the process's user has under some paths, and may use as he wants to: what is not open yet is opened as he.
	 *
	 * @param root The tree that the paths start from.
	 */
	asUser(wanted: readonly WantedNode[], root?: TreeRoot): Promise<ReadonlyMap<string, OwnNode | NoNode>>;
	/** The same of whoever calls us: of paths that he named. */
	asCaller(wanted: readonly WantedNode[]): Promise<ReadonlyMap<string, OwnNode | NoNode>>;
	/** Gives the process what its user may not use, if what is there is right. */
	lend(want: WantedNode, isRight: (node: OpenedNode) => boolean, root?: TreeRoot): Promise<OwnNode | undefined>;
	/** What the caller opened is the process's, under the path that it has here. */
	give(node: OwnNode): void;
	/** What was opened under a path, if it was. */
	at(path: string): OwnNode | undefined;
	/** The contents of an opened node; they stay open. */
	content(node: OpenedNode, name: string): ByteSource;
	/** An opened node for the judge: its content is read only where that is asked for, and its build-id once. */
	opened(node: OpenedNode, name: string): OpenedFile;
	/** Closes in the agent all but some of its descriptors. */
	closeOthers(kept: ReadonlySet<number>): Promise<void>;
	/** Closes what was opened to be read. */
	closeContents(): void;
}

interface Known {
	readonly node: OwnNode;
	/** What was asked for, and may be done: R_OK, W_OK, X_OK. */
	granted: number;
}

interface Store {
	readonly users: Map<string, Known>;
	readonly callers: Map<string, Known>;
	readonly contents: Map<number, ByteSource>;
	readonly opened: Map<number, OpenedFile>;
}

/** @param anyLink Follow every link, whoever made it: core and images are trusted. */
export function openFiles(agent: Agent, opener: Opener, anyLink: boolean, store = emptyStore()): OpenFiles {
	const { users, callers, contents, opened } = store;
	const caller: Opener = { ...opener, same: true };
	const content = (node: OpenedNode, name: string): ByteSource => {
		const source = contents.get(node.number) ?? contentOf(agent, node, name);
		contents.set(node.number, source);
		return source;
	};
	return {
		agent,
		opener,
		as: (other) => openFiles(agent, other, anyLink, store),
		asUser: (wanted, root) => open(agent, opener, users, wanted, anyLink, root),
		asCaller: async (wanted) => {
			const own = wanted.map((want) => ({ ...want, path: ofCaller(want.path) }));
			const found = await open(agent, caller, callers, own, true);
			return new Map(
				wanted.flatMap(({ path }) => {
					const node = found.get(ofCaller(path));
					return node === undefined ? [] : [[path, node] as const];
				}),
			);
		},
		lend: async (want, isRight, root) => {
			const key = keyOf(want, root);
			const known = users.get(key)?.node;
			const options = { anyLink, ...defined({ root }) };
			const own = isOpened(known) ? known : (await openNodes(agent, caller, [want], options)).get(want.path);
			if (!isOpened(own)) return undefined;
			if (!isRight(own)) {
				if (own !== known) await agent.call("close", own.number);
				return undefined;
			}
			const node: OwnNode = { ...allowed(own), lent: true };
			for (const name of [key, keyOf({ ...want, path: node.at }, root)]) users.set(name, { node, granted: EVERYTHING });
			return node;
		},
		give: (node) => {
			// whoever named it lets it be read; what is written to it is the user's own deed
			const entry: Known = opener.same
				? { node, granted: 0 }
				: { node: { ...node, lent: true }, granted: ~ACCESS.W_OK };
			users.set(node.at, entry);
		},
		at: (path) => {
			const node = (users.get(path) ?? callers.get(ofCaller(path)))?.node;
			return isOpened(node) ? node : undefined;
		},
		content,
		opened: (node, name) => {
			const { number, size, mode } = node;
			const buildId = once(() => buildIdOfFile(content(node, name)));
			const file = opened.get(number) ?? { size, mode, identity: node, buildId };
			opened.set(number, file);
			return file;
		},
		closeOthers: (kept) => closeOthers(agent, store, kept),
		closeContents: () => {
			for (const source of contents.values()) source.close();
			contents.clear();
		},
	};
}

/** What whoever calls us means by his own descriptors, and by what /proc says of himself: the agent is somebody else. */
const ofCaller = (path: string): string =>
	path
		.replace(/^\/dev\/std(in|out|err)$/, (_, name: string) => `/proc/self/fd/${["in", "out", "err"].indexOf(name)}`)
		.replace(/^\/dev\/fd(?=\/|$)/, "/proc/self/fd")
		.replace(/^\/proc\/(?:thread-)?self(?=\/|$)/, `/proc/${process.pid}`);

const emptyStore = (): Store => ({ users: new Map(), callers: new Map(), contents: new Map(), opened: new Map() });

/** What is lent is opened by the restorer, who may do with it what he may. */
const EVERYTHING = -1;

const keyOf = ({ path, link }: WantedNode, root?: TreeRoot): string =>
	`${link === true ? "link " : ""}${root === undefined || root.path === "/" ? "" : root.path}${path}`;

function allowed({ denied: _, ...node }: OwnNode): OwnNode {
	return node;
}

async function open(
	agent: Agent,
	opener: Opener,
	known: Map<string, Known>,
	wanted: readonly WantedNode[],
	anyLink: boolean,
	root?: TreeRoot,
): Promise<ReadonlyMap<string, OwnNode | NoNode>> {
	const fresh = wanted.filter((want) => !known.has(keyOf(want, root)));
	const options = { anyLink, ...defined({ root }) };
	// there may be very many that are not here: nothing is kept of them, and nothing is copied
	const found: Map<string, OwnNode | NoNode> =
		fresh.length === 0 ? new Map() : await openNodes(agent, opener, fresh, options);
	const denied = new Map<string, string>();
	for (const want of fresh) {
		const node = found.get(want.path);
		if (isOpened(node)) remember(known, want, node, denied, root);
	}
	await ask(agent, opener, known, wanted, denied, root);
	for (const want of wanted) {
		const [errno, entry] = [denied.get(want.path), known.get(keyOf(want, root))];
		if (errno !== undefined) found.set(want.path, { errno });
		else if (entry !== undefined) found.set(want.path, entry.node);
	}
	return found;
}

function remember(
	known: Map<string, Known>,
	want: WantedNode,
	{ denied: errno, ...node }: OpenedNode,
	denied: Map<string, string>,
	root: TreeRoot | undefined,
): void {
	if (errno !== undefined) denied.set(want.path, errno);
	const entry = { node, granted: errno === undefined ? want.access : 0 };
	known.set(keyOf(want, root), entry);
	if (want.link === true) return;
	// under the name that it has without links too
	const own = keyOf({ ...want, path: node.at }, root);
	if (!known.has(own)) known.set(own, entry);
}

/** Asks of what was open before whether it may be used in more ways. */
async function ask(
	agent: Agent,
	opener: Opener,
	known: ReadonlyMap<string, Known>,
	wanted: readonly WantedNode[],
	denied: Map<string, string>,
	root?: TreeRoot,
): Promise<void> {
	const asked = wanted.flatMap((want) => {
		const entry = known.get(keyOf(want, root));
		if (entry === undefined || !isOpened(entry.node) || denied.has(want.path)) return [];
		const more = want.access & ~entry.granted;
		return more === 0 ? [] : [{ path: want.path, entry, number: entry.node.number, access: want.access }];
	});
	if (asked.length === 0) return;
	for (const [i, errno] of (await deniedAccess(agent, opener, asked)).entries()) {
		const { path = "", entry, access = 0 } = asked[i] ?? {};
		if (errno !== undefined) denied.set(path, errno);
		else if (entry !== undefined) entry.granted |= access;
	}
}

async function closeOthers(agent: Agent, { users, callers }: Store, kept: ReadonlySet<number>): Promise<void> {
	const numbers = new Set<number>();
	for (const known of [users, callers])
		for (const [key, { node }] of known)
			if (isOpened(node) && !kept.has(node.number)) {
				numbers.add(node.number);
				known.delete(key);
			}
	await inBatches(agent, [...numbers], {
		...{ doing: "closing files", patience: PATIENCE, read: () => {} },
		add: (batch, number) => batch.call("close", number),
	});
}
