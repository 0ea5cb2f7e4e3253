import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { EVERY_BIT, label, type Slot } from "../agent/batch.ts";
import { zeroEnded } from "../bytes/text.ts";
import type { GhostFile } from "../forest/task.ts";
import { performAsUser } from "../inputs/as-user.ts";
import type { OpenFiles, OwnNode } from "../inputs/open-files.ts";
import { isOpened, type NoNode } from "../inputs/open-nodes.ts";
import { AT } from "../linux/fcntl.ts";
import { directoryOf } from "../plan/files/ghosts.ts";
import { lastOf } from "../plan/inputs.ts";
import { PLACES } from "./ghosts.ts";

/**
 * Says where directories that had been deleted can be made again, for the moment until they are removed: under their own name;
 * where that is taken, or what was around it is gone, under another among temporary files. Where nothing will do it is left to
 * fail.
 *
 * @param nodes what is open by its path; what is opened here is added.
 * @returns by `GhostFile` id, for those that get another name.
 */
export async function placesOfDirectories(
	files: OpenFiles,
	directories: readonly GhostFile[],
	nodes: Map<string, OwnNode | NoNode>,
): Promise<ReadonlyMap<number, string>> {
	if (directories.length === 0) return new Map();
	const candidates = directories.flatMap(({ id, path }) => {
		// nobody else knows the name beforehand
		const name = `${lastOf(path)}.${randomBytes(8).toString("hex")}`;
		const others = [tmpdir(), ...PLACES].map((place) => `${place === "/" ? "" : place}/${name}`);
		return [path, ...others].map((place) => ({ id, place }));
	});
	const around = new Set(candidates.map(({ place }) => directoryOf(place)));
	const wanted = [...around].filter((path) => !isOpened(nodes.get(path))).map((path) => ({ path, access: 0 }));
	for (const [path, node] of await files.asUser(wanted)) nodes.set(path, node);
	const taking = new Set<string>();
	const places = [...new Set(candidates.map(({ place }) => place))];
	for (let from = 0; from < places.length; from += AT_ONCE)
		for (const place of await thatTake(files, places.slice(from, from + AT_ONCE), nodes)) taking.add(place);
	return new Map(
		directories.flatMap(({ id, path }): [number, string][] => {
			const chosen = candidates.find((it) => it.id === id && taking.has(it.place))?.place ?? path;
			return chosen === path ? [] : [[id, chosen]];
		}),
	);
}

/** Places that are tried in one batch. */
const AT_ONCE = 100;

/** Those where its user can make a directory; what is made is removed at once. */
async function thatTake(
	{ agent, opener }: OpenFiles,
	places: readonly string[],
	nodes: ReadonlyMap<string, OwnNode | NoNode>,
): Promise<readonly string[]> {
	const { added, done } = await performAsUser(agent, opener, (batch) => {
		const tried = new Map<string, Slot>();
		for (const place of places) {
			const node = nodes.get(directoryOf(place));
			if (!isOpened(node)) continue;
			const name = batch.put(zeroEnded(lastOf(place)), 1);
			const [ours, end] = [label("it is ours"), label("the end")];
			const made = batch.call("mkdirat", node.number, name, 0o700);
			batch.branch({ valueOf: made }, EVERY_BIT, 0, ours);
			batch.jump(end);
			batch.mark(ours);
			batch.call("unlinkat", node.number, name, AT.REMOVEDIR);
			batch.mark(end);
			tried.set(place, made);
		}
		return tried;
	});
	return places.filter((place) => {
		const made = added.get(place);
		return made !== undefined && done.result(made) === 0n;
	});
}
