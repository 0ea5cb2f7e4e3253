import { held, type Placed, piecesOf } from "../../bytes/extent.ts";
import { u64Bytes } from "../../bytes/layout.ts";
import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { kindOf } from "../../descriptors/kinds.ts";
import { type AddStep, openFlags } from "../../descriptors/steps.ts";
import { keepAs } from "../../descriptors/workshop.ts";
import { caution, loss } from "../../finding.ts";
import { enteredGhosts } from "../../forest/files.ts";
import type { GhostFile, Task } from "../../forest/task.ts";
import { ENOENT } from "../../linux/errno.ts";
import { AT, AT_FDCWD } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { S_IFDIR, S_IFMT } from "../../linux/stat.ts";
import { timespec, timespecOf } from "../../linux/time.ts";
import type { Arg } from "../../program/args.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { lastOf, type MadeInput, useOfMapping } from "../inputs.ts";
import { type Actor, actorOf } from "../opener.ts";
import { addOwnership } from "../ownership.ts";
import type { Part } from "../part.ts";
import { WORKSHOP } from "../plan.ts";
import { type FilePolicy, isOwn, slotsOf } from "./slots.ts";

/** What the workshop keeps a description of a file without a name under that is mapped, or executed. */
export const mappedGhost = (ghost: number, use: "read" | "write"): string => `file ${ghost} without a name, to ${use}`;

/** The same of a directory that is entered. */
export const enteredGhost = (ghost: number): string => `directory ${ghost} without a name`;

/** The most that one call copies, bytes; the kernel takes 2 GiB less a page. */
const MOST = 1n << 30n;

/** A description of a file without a name: to be mapped, or under which key of {@link slotsOf} it is open. */
interface GhostDescription extends MadeInput {
	readonly ghost: number;
	/** O_ flags. */
	readonly flags: number;
}

/** Every description that shows a file without a name, in the order in which the workshop makes them. */
export function ghostDescriptions({ memory, files }: Task, policy: FilePolicy): GhostDescription[] {
	const { ghosts = [], mappings, executableGhost } = memory;
	if (ghosts.length === 0) return [];
	const found = new Map<string, Omit<GhostDescription, "name">>();
	const show = (key: string, ghost: number, flags: number): void => {
		if (!found.has(key)) found.set(key, { key, ghost, flags });
	};
	for (const mapping of mappings) {
		const { backing } = mapping;
		const use = useOfMapping(mapping);
		if (backing.kind === "file" && backing.ghost !== undefined)
			show(mappedGhost(backing.ghost, use), backing.ghost, use === "write" ? O.RDWR : O.RDONLY);
	}
	if (executableGhost !== undefined) show(mappedGhost(executableGhost, "read"), executableGhost, O.RDONLY);
	for (const ghost of enteredGhosts(files)) show(enteredGhost(ghost), ghost, O.PATH | O.DIRECTORY);
	for (const slot of slotsOf(files, policy, () => {}).filter(isOwn)) {
		const unlinked = kindOf(slot.content).making.unlinked?.(slot);
		if (unlinked !== undefined) show(unlinked.key, unlinked.ghost, openFlags(slot.content.flags & ~O.NOFOLLOW));
	}
	const names = new Map(ghosts.map(({ id, path }) => [id, path]));
	return [...found.values()]
		.sort((a, b) => a.ghost - b.ghost)
		.flatMap((it) => (names.has(it.ghost) ? [{ ...it, name: names.get(it.ghost) ?? "" }] : []));
}

/** The files without a name that something shows. */
export function shownGhosts(task: Task, policy: FilePolicy): readonly GhostFile[] {
	const shown = new Set(ghostDescriptions(task, policy).map(({ ghost }) => ghost));
	return (task.memory.ghosts ?? []).filter(({ id }) => shown.has(id));
}

/** Where they are made. */
export const ghostDirectories = (task: Task, policy: FilePolicy): readonly string[] => [
	...new Set(
		shownGhosts(task, policy).map((ghost) =>
			isDirectory(ghost)
				? directoryOf(placeOf(ghost, policy))
				: (policy.ghosts?.get(ghost.id) ?? directoryOf(ghost.path)),
		),
	),
];

export const isDirectory = ({ mode }: Pick<GhostFile, "mode">): boolean => (mode & S_IFMT) === S_IFDIR;

const placeOf = ({ id, path }: GhostFile, { directories }: FilePolicy): string => directories?.get(id) ?? path;

/** `/tmp` of `/tmp/log`. */
export const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/**
 * Makes files that had lost their names, in the workshop: with O_TMPFILE they never get one, so nothing is left behind whatever
 * happens. Their user opens them in every way that the process has them open, before they get their owner, permissions and times.
 */
export function makeGhosts(task: Task, context: Context, policy: FilePolicy): Part {
	const descriptions = ghostDescriptions(task, policy);
	for (const ghost of shownGhosts(task, policy)) {
		if (isDirectory(ghost)) {
			const own = descriptions.filter((it) => it.ghost === ghost.id);
			makeDirectory(ghost, placeOf(ghost, policy), own, context);
			continue;
		}
		const elsewhere = policy.ghosts?.get(ghost.id);
		context.draft.report(
			loss(
				"attribute",
				`${ghost.path}, deleted`,
				"has no name any more, also in /proc/PID/fd, where it kept that it had",
			),
		);
		if (elsewhere !== undefined)
			context.draft.report(
				caution(
					"replaced",
					`${ghost.path}, deleted`,
					`cannot be made without a name where it was; it lies in ${elsewhere} now`,
				),
			);
		make(
			ghost,
			elsewhere ?? directoryOf(ghost.path),
			descriptions.filter((it) => it.ghost === ghost.id),
			context,
		);
	}
	return context.draft.made();
}

function make(ghost: GhostFile, directory: string, descriptions: readonly GhostDescription[], context: Context): void {
	const { draft, inputs, opener } = context;
	const { path, contents, size } = ghost;
	const list = draft.list(WORKSHOP);
	const add: AddStep = (call, args, why, options) => list.add("workshop", call, args, why, options);
	const actor = actorOf(() => list, opener, true);
	const name = `${path.slice(path.lastIndexOf("/") + 1)}, deleted`;
	const landed = cellDatum(`descriptor of ${name}`);
	const input = inputs.inAgent.file(directory, "node");
	if (!input.lent) actor.asUser("workshop");
	const flags = BigInt(O.TMPFILE | O.RDWR | O.CLOEXEC);
	add("openat", [{ input }, pathDatum("the directory itself", "."), flags, 0o600n], name, {
		save: landed,
	});
	const whole = inputs.behindAgent;
	keepAs(add, { valueOf: landed }, whole, name);
	const fd = BigInt(whole);
	for (const source of new Set(contents.map((content) => content.source))) {
		const from = { input: inputs.inAgent.source(source) };
		for (const content of contents.filter((content) => content.source === source)) fill(content, from, fd);
	}
	add("ftruncate", [fd, size], `its ${size} bytes`);
	showAs(ghost, name, descriptions, actor, context);

	function fill(content: Placed<GhostFile["contents"][number]["start"]>, from: Arg, fd: bigint): void {
		const { start, source } = content;
		add("lseek", [fd, start, 0n], `to ${start} of ${name}`, { expect: { exactly: start } });
		for (const { offset, length } of piecesOf(held(content), MOST)) {
			const at = bytesDatum(`offset in ${source.name}`, u64Bytes(offset));
			add("sendfile", [fd, from, at, length], `${length} bytes of ${name}`, {
				expect: { exactly: length },
			});
		}
	}
}

/**
 * Makes a directory, opens it and removes it. Whoever else may write around it can put another in its place meanwhile; it has then
 * been removed as well, or the restore ends: in a directory that is removed there is nothing, now or later.
 */
function makeDirectory(
	ghost: GhostFile,
	place: string,
	descriptions: readonly GhostDescription[],
	context: Context,
): void {
	const { draft, inputs, opener } = context;
	const list = draft.list(WORKSHOP);
	const add: AddStep = (call, args, why, options) => list.add("workshop", call, args, why, options);
	const actor = actorOf(() => list, opener, true);
	const name = `${lastOf(ghost.path)}, deleted`;
	if (place !== ghost.path)
		draft.report(
			caution("replaced", `${ghost.path}, deleted`, `cannot be made where it was; it was called ${place} instead`),
		);
	const landed = cellDatum(`descriptor of ${name}`);
	const input = inputs.inAgent.file(directoryOf(place), "node");
	if (!input.lent) actor.asUser("workshop");
	const path = pathDatum(`name of ${name}`, lastOf(place));
	const flags = BigInt(O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC);
	add("mkdirat", [{ input }, path, 0o700n], name);
	// what cannot be opened must not stay: that it was not is seen by the next but one
	add("openat", [{ input }, path, flags], name, { save: landed, expect: "anything" });
	add("unlinkat", [{ input }, path, BigInt(AT.REMOVEDIR)], `${name}: it was`);
	const whole = inputs.behindAgent;
	keepAs(add, { valueOf: landed }, whole, name);
	const fd = BigInt(whole);
	const [itself, inside] = [pathDatum("the directory itself", "."), pathDatum("no name in it", "none")];
	add("linkat", [fd, itself, fd, inside, 0n], `${name}: it is that one, in which nothing can be`, {
		expect: { exactly: BigInt(-ENOENT) },
	});
	showAs(ghost, name, descriptions, actor, context);
}

/** Opens a file without a name in every way that the process has it open, and gives it its owner, permissions and times. */
function showAs(
	ghost: GhostFile,
	name: string,
	descriptions: readonly GhostDescription[],
	actor: Actor,
	{ draft, inputs, facts }: Context,
): void {
	const { path, accessed, modified } = ghost;
	const list = draft.list(WORKSHOP);
	const add: AddStep = (call, args, why, options) => list.add("workshop", call, args, why, options);
	const [whole, landed] = [inputs.behindAgent, cellDatum(`descriptor of ${name}`)];
	const fd = BigInt(whole);
	for (const { key, flags } of descriptions) {
		const again = pathDatum(`path of ${name}`, pathOfDescriptor(whole));
		add("openat", [AT_FDCWD, again, BigInt(flags | O.CLOEXEC)], key, { save: landed });
		keepAs(add, { valueOf: landed }, inputs.inAgent.made(key).number, name);
	}
	actor.asCaller("workshop");
	addOwnership(ghost, fd, name, "workshop", { draft, facts }, list);
	if (accessed !== undefined && modified !== undefined) {
		const times = new Uint8Array(2 * timespec.size);
		times.set(timespec.encode(timespecOf(accessed)));
		times.set(timespec.encode(timespecOf(modified)), timespec.size);
		const place = bytesDatum(`times of ${path}`, times);
		add("utimensat", [fd, 0n, place, 0n], "when it was read and written last");
	}
	add("close", [fd], `${name} is open as it is needed`);
}
