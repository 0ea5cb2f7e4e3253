import { held, piecesOf } from "../../bytes/extent.ts";
import { caution, loss } from "../../finding.ts";
import { AT_FDCWD, F } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { timespec, timespecOf } from "../../linux/time.ts";
import { bytesDatum, pathDatum } from "../../program/data.ts";
import type { GhostFile, Memory, Task } from "../../task/task.ts";
import type { Context } from "../context.ts";
import { addOwnership } from "../ownership.ts";
import type { Part } from "../part.ts";
import type { FdAllocator } from "./fd-allocator.ts";
import { nodeOf, ownFile } from "./named.ts";
import { type FilePolicy, slotsOf } from "./slots.ts";
import { word } from "./special.ts";

/** The most that one call copies, bytes; the kernel takes 2 GiB less a page. */
const MOST = 1n << 30n;

/** Descriptors for the files without a name that something shows, one after the other from `first` on. */
export function ghostNumbers({ memory, files }: Task, policy: FilePolicy, first: number): Map<number, number> {
	const { ghosts = [], mappings, executableGhost } = memory;
	const shown = new Set([executableGhost]);
	for (const { backing } of mappings) if (backing.kind === "file") shown.add(backing.ghost);
	for (const { content } of slotsOf(files, policy, () => {})) if (content.kind === "file") shown.add(content.ghost);
	const needed = ghosts.filter(({ id }) => shown.has(id));
	return new Map(needed.map(({ id }, i) => [id, first + i]));
}

/** Where they are made. */
export const ghostDirectories = (task: Task, policy: FilePolicy): readonly string[] => {
	const needed = ghostNumbers(task, policy, 0);
	const made = (task.memory.ghosts ?? []).filter(({ id }) => needed.has(id));
	return [...new Set(made.map(({ id, path }) => policy.ghosts?.get(id) ?? directoryOf(path)))];
};

/**
 * Makes files that had lost their names: with O_TMPFILE they never get one, so nothing is left behind whatever happens. Each
 * stays open, read-only, until its mappings are made; whoever shows it opens it once more.
 */
export function makeGhosts(
	fds: FdAllocator,
	{ ghosts = [] }: Pick<Memory, "ghosts">,
	numbers: ReadonlyMap<number, number>,
	policy: FilePolicy,
): void {
	for (const ghost of ghosts) {
		const number = numbers.get(ghost.id);
		if (number === undefined) continue;
		const elsewhere = policy.ghosts?.get(ghost.id);
		fds.context.draft.report(
			loss(
				"attribute",
				`${ghost.path}, deleted`,
				"has no name any more, also in /proc/PID/fd, where it kept that it had",
			),
		);
		if (elsewhere !== undefined)
			fds.context.draft.report(
				caution(
					"replaced",
					`${ghost.path}, deleted`,
					`cannot be made without a name where it was; it lies in ${elsewhere} now`,
				),
			);
		make(fds, ghost, number, elsewhere ?? directoryOf(ghost.path));
	}
}

/** `/tmp` of `/tmp/log`. */
export const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

function make(fds: FdAllocator, { path, contents, size }: GhostFile, number: number, directory: string): void {
	const { inputs, firstSpareFd } = fds.context;
	const name = path.slice(path.lastIndexOf("/") + 1);
	const input = nodeOf(directory, "files", fds.context);
	const here = pathDatum("the directory itself", ".");
	const file = fds.open(
		"openat",
		[{ input }, here, BigInt(O.TMPFILE | O.RDWR | O.CLOEXEC), 0o600n],
		`a file without a name for ${name}, deleted`,
	);
	const fd = BigInt(file);
	const sources = new Set(contents.map(({ source }) => source));
	for (const source of sources) {
		const from = { input: inputs.source(source) };
		for (const content of contents.filter((content) => content.source === source)) {
			const { start } = content;
			fds.add("lseek", [fd, start, 0n], `to ${start} of ${name}`, { expect: { exactly: start } });
			for (const { offset, length } of piecesOf(held(content), MOST)) {
				const at = bytesDatum(`offset in ${source.name}`, word(offset));
				fds.add("sendfile", [fd, from, at, length], `${length} bytes of ${name}`, { expect: { exactly: length } });
			}
		}
	}
	fds.add("ftruncate", [fd, size], `its ${size} bytes`);
	const again = pathDatum(`path of ${name}`, ownFile(file));
	const reader = fds.open("openat", [AT_FDCWD, again, BigInt(O.RDONLY | O.CLOEXEC)], `${name} to read`, 1);
	fds.add("fcntl", [BigInt(reader), BigInt(F.DUPFD_CLOEXEC), BigInt(firstSpareFd)], `${name}, out of the way`, {
		expect: { exactly: BigInt(number) },
	});
	for (const done of [reader, file]) fds.add("close", [BigInt(done)], `${name} is kept as ${number}`);
}

/** As all that show them have opened them, files without a name get their owner, permissions and times. */
export function settleGhosts({ memory: { ghosts = [] } }: Task, context: Context): void {
	const { draft } = context;
	const leader = draft.leader;
	for (const ghost of ghosts) {
		const { id, path, accessed, modified } = ghost;
		const number = context.ghosts?.get(id);
		if (number === undefined) continue;
		const fd = BigInt(number);
		addOwnership(ghost, fd, `${path}, deleted`, "protect", context);
		if (accessed === undefined || modified === undefined) continue;
		const times = new Uint8Array(2 * timespec.size);
		times.set(timespec.encode(timespecOf(accessed)));
		times.set(timespec.encode(timespecOf(modified)), timespec.size);
		const place = bytesDatum(`times of ${path}`, times);
		leader.add("protect", "utimensat", [fd, 0n, place, 0n], "when it was read and written last");
	}
}

/** After the executable, which may be one of them. */
export function closeGhosts({ draft, ghosts, firstSpareFd }: Context): Part {
	if (ghosts === undefined || ghosts.size === 0) return draft.made();
	const range = [BigInt(firstSpareFd), BigInt(firstSpareFd + ghosts.size - 1), 0n] as const;
	draft.leader.add("bounds", "close_range", range, "files without a name are where they belong");
	return draft.made();
}
