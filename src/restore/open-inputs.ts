import { tmpdir } from "node:os";
import { defined } from "../bytes/defined.ts";
import { refuseAll } from "../errors.ts";
import type { GhostFile, Task } from "../forest/task.ts";
import { performAsUser } from "../inputs/as-user.ts";
import { NOT_HERE } from "../inputs/gone.ts";
import { judge } from "../inputs/judge.ts";
import { openContents } from "../inputs/open-content.ts";
import type { OpenFiles, OwnNode } from "../inputs/open-files.ts";
import { CLOSED, goneOf, isOpened, NOTHING, type NoNode, type WantedNode } from "../inputs/open-nodes.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { directoryOf, isDirectory, shownGhosts } from "../plan/files/ghosts.ts";
import { neededByAll } from "../plan/files/needed-files.ts";
import { slotsOf } from "../plan/files/slots.ts";
import type { NeededFile, OpenedInput } from "../plan/inputs.ts";
import { placesOfDirectories } from "./deleted-directories.ts";
import { accessesOf } from "./file-access.ts";
import { checkFiles, type OpenedAt, settleMismatches } from "./files.ts";
import { PLACES, placeGhosts } from "./ghosts.ts";
import { openTerminals } from "./terminals.ts";

/** The files of processes, open, and what is done about those that they cannot have. */
export interface OpenedInputs<P extends FilePolicy> {
	readonly policy: P;
	/** All that {@link neededFiles} asks for. */
	readonly opened: readonly OpenedInput[];
}

/**
 * Opens every file of some processes that is not open yet, in the agent, with their user's rights, and compares what was opened
 * with what the tasks say of it. A file that he may not open is opened for him only with `trust`, or if device, inode and birth time
 * prove that it is the file that the process had.
 *
 * @param made terminals that are there already, for others.
 * @throws NecromancerError ERR_FILE_MISMATCH with all that are not right.
 */
export async function openInputs<P extends FilePolicy>(
	files: OpenFiles,
	tasks: readonly Task[],
	policy: P,
	trust: boolean,
	made: ReadonlySet<string> = new Set(),
): Promise<OpenedInputs<P>> {
	const first = neededByAll(tasks, policy);
	const named = await openNamed(files, tasks, policy, first);
	const accesses = accessesOfAll(tasks, policy, first);
	const links = new Set(first.flatMap(({ path, use }) => (use === "link" ? [path] : [])));
	const wanted = [...accesses].map(([path, access]): WantedNode => ({ path, access, link: links.has(path) }));
	const nodes = new Map(await files.asUser(wanted));
	for (const want of wanted) {
		const node = await lentTo(files, tasks, want, nodes.get(want.path), trust);
		if (node !== undefined) nodes.set(want.path, node);
	}
	const { uid } = files.opener.user;
	const settled = settleMismatches(
		tasks.flatMap((task) => checkFiles(task, openedIn(files, new Map([...named, ...nodes]), uid), policy.fds)),
		policy,
	);
	const ghosts = [...new Map(tasks.flatMap(({ memory }) => (memory.ghosts ?? []).map((it) => [it.id, it]))).values()];
	const taking = await namelessDirectories(
		files,
		ghosts.filter((ghost) => !isDirectory(ghost)),
		nodes,
	);
	const places = tasks.flatMap((task) => [...(placeGhosts(task, settled, taking).ghosts ?? [])]);
	const shown = new Set(tasks.flatMap((task) => shownGhosts(task, settled).map(({ id }) => id)));
	const deleted = ghosts.filter((ghost) => isDirectory(ghost) && shown.has(ghost.id));
	const directories = await placesOfDirectories(files, deleted, nodes);
	const placed = {
		...{ ...policy, ...settled },
		...(places.length === 0 ? {} : { ghosts: new Map(places) }),
		...(directories.size === 0 ? {} : { directories }),
	};
	const needed = neededByAll(tasks, placed);
	for (const [path, node] of await openNamed(files, tasks, placed, needed)) named.set(path, node);
	const opened = needed.flatMap(({ path, use, by }): OpenedInput[] => {
		if (use === "terminal") return [];
		const node = by === "caller" ? named.get(path) : nodes.get(path);
		return [{ path, use, by, number: isOpened(node) ? node.number : -1, lent: isLent(node) }];
	});
	requireAll(opened, nodes, uid);
	const contents = await withContents(files, opened);
	const fresh = needed.filter(({ path }) => !made.has(path));
	await files.closeOthers(new Set(contents.map(({ number }) => number)));
	return { policy: placed, opened: [...contents, ...(await openTerminals(files, fresh))] };
}

const isLent = (node: OwnNode | NoNode | undefined): boolean => isOpened(node) && "lent" in node;

/** What whoever calls us named, opened as he. */
async function openNamed(
	files: OpenFiles,
	tasks: readonly Task[],
	policy: FilePolicy,
	needed: readonly NeededFile[],
): Promise<Map<string, OwnNode | NoNode>> {
	const paths = needed.flatMap(({ path, by }) => (by === "caller" ? [path] : []));
	const nodes = await files.asCaller([...new Set(paths)].map((path) => ({ path, access: 0 })));
	const numbers = new Map<string, number>();
	for (const { number, content, byCaller } of tasks.flatMap((task) => slotsOf(task.files, policy, () => {})))
		if (byCaller === true && "path" in content && !numbers.has(`${content.path}`))
			numbers.set(`${content.path}`, number);
	const faults = [...nodes].flatMap(([path, node]) =>
		isOpened(node)
			? []
			: [
					{
						subject: path,
						finding: goneOf(node, files.opener.caller.uid).because,
						expectation: `expected a file for descriptor ${numbers.get(path)}`,
					},
				],
	);
	if (faults.length > 0) refuseAll("ERR_FILE_MISMATCH", "files", faults, "name another with --fd N=PATH");
	return new Map(nodes);
}

async function lentTo(
	files: OpenFiles,
	tasks: readonly Task[],
	want: WantedNode,
	node: OwnNode | NoNode | undefined,
	trust: boolean,
): Promise<OwnNode | undefined> {
	if (files.opener.same || node === undefined || isOpened(node) || !CLOSED.includes(node.errno)) return undefined;
	const known = tasks.map(({ files: { identities } }) => identities?.get(want.path)).find((it) => it !== undefined);
	if (!trust && known === undefined) return undefined;
	return files.lend(want, (ours) => {
		const verdict = judge(defined({ identity: known }), files.opened(ours, want.path));
		if (trust) return true;
		// that he had a directory open proves nothing of what he may do in it: nobody has one open to write
		const makes = (want.access & ACCESS.W_OK) !== 0 && isDirectory(ours);
		return !makes && verdict.kind === "same" && verdict.proof === "identity";
	});
}

/** What was opened, for the judge. */
const openedIn =
	(files: OpenFiles, nodes: ReadonlyMap<string, OwnNode | NoNode>, uid: number): OpenedAt =>
	(path) => {
		const node = nodes.get(path) ?? NOTHING;
		return isOpened(node) ? files.opened(node, path) : goneOf(node, uid);
	};

/** Which directories a user can make files without a name in: those where the process's files were, and those for temporary ones. */
async function namelessDirectories(
	files: OpenFiles,
	ghosts: readonly GhostFile[],
	nodes: Map<string, OwnNode | NoNode>,
): Promise<(directory: string) => boolean> {
	if (ghosts.length === 0) return () => false;
	const paths = [...new Set([...ghosts.map(({ path }) => directoryOf(path)), tmpdir(), ...PLACES])];
	const wanted = paths.filter((path) => !isOpened(nodes.get(path))).map((path) => ({ path, access: 0 }));
	for (const [path, node] of await files.asUser(wanted)) nodes.set(path, node);
	const open = paths.flatMap((path) => {
		const node = nodes.get(path);
		return isOpened(node) ? [{ path, number: node.number }] : [];
	});
	const { added, done } = await performAsUser(files.agent, files.opener, (batch) => {
		const here = batch.put(Buffer.from(".\0"), 1);
		return open.map(({ number }) => {
			const fd = batch.call("openat", number, here, O.TMPFILE | O.RDWR | O.CLOEXEC, 0o600);
			batch.call("close", { valueOf: fd });
			return fd;
		});
	});
	const taking = new Set(open.flatMap(({ path }, i) => (resultOf(done, added[i]) >= 0n ? [path] : [])));
	return (directory) => taking.has(directory);
}

const resultOf = <S>(done: { result(slot: S): bigint }, slot: S | undefined): bigint =>
	slot === undefined ? -1n : done.result(slot);

/** @throws NecromancerError ERR_FILE_MISMATCH for files of which nothing else is known than that they are needed. */
function requireAll(opened: readonly OpenedInput[], nodes: ReadonlyMap<string, OwnNode | NoNode>, uid: number): void {
	const faults = opened.flatMap(({ path, number }) => {
		if (number >= 0) return [];
		const node = nodes.get(path) ?? NOTHING;
		const { because } = isOpened(node) ? NOT_HERE : goneOf(node, uid);
		return [{ subject: path, finding: because, expectation: `expected uid ${uid} to use it` }];
	});
	if (faults.length > 0) refuseAll("ERR_FILE_MISMATCH", "files", faults, "restore where the files are as they were");
}

/** What is to be mapped is opened really. */
async function withContents(
	{ agent, opener }: OpenFiles,
	opened: readonly OpenedInput[],
): Promise<readonly OpenedInput[]> {
	const numbers = new Map<NeededFile, number>();
	for (const lent of [false, true]) {
		const wanted = opened.flatMap((input) =>
			input.lent === lent && (input.use === "read" || input.use === "write")
				? [{ ...input, node: input.number, input }]
				: [],
		);
		const as = lent ? { ...opener, same: true } : opener;
		const contents = await openContents(
			agent,
			as,
			wanted.map(({ path, node, use }) => ({ path, node, use: use === "write" ? use : "read" })),
		);
		for (const [i, { input }] of wanted.entries()) numbers.set(input, contents[i] ?? -1);
	}
	return opened.map((input) => ({ ...input, number: numbers.get(input) ?? input.number }));
}

/** What they do with their files, by path. */
function accessesOfAll(
	tasks: readonly Task[],
	policy: FilePolicy,
	needed: readonly NeededFile[],
): ReadonlyMap<string, number> {
	const all = new Map<string, number>();
	for (const task of tasks)
		for (const [path, access] of accessesOf(task, policy, needed)) all.set(path, (all.get(path) ?? 0) | access);
	return all;
}
