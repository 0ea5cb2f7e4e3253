import { statSync } from "node:fs";
import { dirname } from "node:path";
import { defined } from "../bytes/defined.ts";
import { bytesFromText } from "../bytes/text.ts";
import type { ImageDir } from "../criu/image-dir.ts";
import { RemapType } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { type Finding, loss } from "../finding.ts";
import type { Files } from "../forest/files.ts";
import { type Forest, mapForest } from "../forest/forest.ts";
import type { Task } from "../forest/task.ts";
import { withoutIpc } from "../forest/without-ipc.ts";
import { type ImageLosable, imageLosable } from "./image-losable.ts";

const namespaces = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] as const;

interface Reduced {
	readonly task: Task;
	readonly findings: readonly Finding[];
}

/**
 * Processes from images without the namespaces and deleted directories that we cannot recreate. Our own dump refuses such
 * processes.
 *
 * @param allowed what may be dropped (--allow-lost).
 * @throws NecromancerError ERR_UNSUPPORTED for the rest.
 */
export function withoutUnrestorable(
	dir: ImageDir,
	forest: Forest,
	allowed: ReadonlySet<ImageLosable>,
): { readonly forest: Forest; readonly findings: readonly Finding[] } {
	const findings: Finding[] = [];
	const reduced = mapForest(forest, (task) => {
		const one = reducedTask(dir, task, allowed);
		findings.push(...one.findings);
		return one.task;
	});
	return { forest: reduced, findings };
}

function reducedTask(dir: ImageDir, task: Task, allowed: ReadonlySet<ImageLosable>): Reduced {
	const all = unrestorableIn(dir, task, allowed);
	// deleted directories are made again, unless they are to be lost
	const around = {
		...all,
		gone: all.gone.filter((what) => allowed.has(what) || task.files[GHOSTS[what]] === undefined),
	};
	const subject = `process ${task.identity.pid}`;
	const refused = [...around.own, ...around.gone].filter((what) => !allowed.has(what));
	if (refused.length > 0)
		refuse("ERR_UNSUPPORTED", {
			subject,
			finding: `had ${refused.map((what) => imageLosable[what]).join(", ")}`,
			expectation: "which does not come back",
			remedy: `restore it with criu restore, or go on without: --allow-lost ${refused.join(",")}`,
		});
	return without(task, around, subject, "it");
}

/** The same for a donor, with findings instead of a refusal. */
export const donorWithoutUnrestorable = (dir: ImageDir, donor: Task): Reduced =>
	without(
		donor,
		unrestorableIn(dir, donor, new Set(["ipc"])),
		`donor, process ${donor.identity.pid}`,
		"what it is lent to",
	);

interface Unrestorable {
	readonly own: readonly ImageLosable[];
	readonly gone: readonly ("cwd" | "root")[];
}

const unrestorableIn = (
	dir: ImageDir,
	{ identity: { pid }, ipc }: Task,
	allowed: ReadonlySet<ImageLosable>,
): Unrestorable => ({
	// made again with all that is in it, unless it is to be lost
	own: ownNamespaces(dir, pid).filter((name) => name !== "ipc" || ipc === undefined || allowed.has(name)),
	gone: deletedDirectories(dir, pid),
});

function without(task: Task, { own, gone }: Unrestorable, subject: string, who: string): Reduced {
	const said = (what: ImageLosable, instead: string): Finding =>
		loss("confinement", subject, `had ${imageLosable[what]}; ${who} ${instead}`);
	const { files } = task;
	const nearest = Object.fromEntries(
		gone.map((what) => [what, files[what] === undefined ? "/" : nearestDirectory(files[what])]),
	);
	return {
		task: {
			...(own.includes("ipc") ? withoutIpc(task) : task),
			...(gone.length === 0 ? {} : { files: { ...withoutGhosts(files, gone), ...nearest } }),
		},
		findings: [
			...own.map((what) => said(what, "has ours when it comes back")),
			...gone.map((what) => said(what, "comes back in the nearest directory that is there")),
		],
	};
}

const GHOSTS = { cwd: "cwdGhost", root: "rootGhost" } as const;

function withoutGhosts({ cwdGhost, rootGhost, ...files }: Files, gone: readonly ("cwd" | "root")[]): Files {
	return {
		...files,
		...(gone.includes("cwd") ? {} : defined({ cwdGhost })),
		...(gone.includes("root") ? {} : defined({ rootGhost })),
	};
}

/** Ids of namespaces in images are mere labels: equal to the dumper's (inventory) means the same namespace as CRIU's own. */
function ownNamespaces(dir: ImageDir, pid: number): ImageLosable[] {
	const { root_ids: dumper } = dir.one("inventory.img", "inventory");
	const ids = dir.has(`ids-${pid}.img`) ? dir.one(`ids-${pid}.img`, "ids") : undefined;
	return namespaces.filter((name) => {
		const [theirs, ours] = [ids?.[`${name}_ns_id`], dumper?.[`${name}_ns_id`]];
		return theirs !== undefined && ours !== undefined && theirs !== ours;
	});
}

/** CRIU stores a deleted directory as a file without a name. */
function deletedDirectories(dir: ImageDir, pid: number): ("cwd" | "root")[] {
	if (!dir.has("remap-fpath.img")) return [];
	const { cwd_id, root_id } = dir.one(`fs-${pid}.img`, "fs");
	const remaps = dir.image("remap-fpath.img", "remap-fpath").records;
	const isGone = (id: number): boolean =>
		remaps.some(({ value }) => value.orig_id === id && (value.remap_type ?? RemapType.LINKED) !== RemapType.LINKED);
	return [...(isGone(cwd_id) ? (["cwd"] as const) : []), ...(isGone(root_id) ? (["root"] as const) : [])];
}

function nearestDirectory(path: string): string {
	let at = dirname(path);
	while (at !== "/" && !isDirectory(at)) at = dirname(at);
	return at;
}

function isDirectory(path: string): boolean {
	try {
		return statSync(Buffer.from(bytesFromText(path))).isDirectory();
	} catch {
		return false;
	}
}
