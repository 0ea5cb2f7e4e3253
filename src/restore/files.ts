import { kindOf } from "../descriptors/kinds.ts";
import { refuseAll } from "../errors.ts";
import type { MappedFile } from "../forest/file-identity.ts";
import { namedDirectories } from "../forest/files.ts";
import type { Task } from "../forest/task.ts";
import { type Different, type Gone, isOther } from "../forest/verdict.ts";
import type { Expected } from "../inputs/expected.ts";
import { judge, type OpenedFile } from "../inputs/judge.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { ownName } from "../proc/own-paths.ts";

/** A file that is not as the dead process had it. */
export interface FileMismatch {
	readonly path: string;
	readonly verdict: Different | Gone;
	/** Who had it open, by number; empty when it was mapped or a directory. */
	readonly descriptors: readonly number[];
}

/** What was opened under a path, or why nothing was. */
export type OpenedAt = (path: string) => OpenedFile | Gone;

type Wanted = MappedFile & Expected;

/**
 * Holds every file that the process had mapped or open, its executable and its directories against what was opened: there,
 * with the size, the mode and the build-id that the images name. What they do not name is not looked at. Descriptors
 * with another file in their place do not count.
 *
 * @returns all mismatches, in the order of the descriptors, mapped files first.
 */
export function checkFiles(task: Task, opened: OpenedAt, fds: FilePolicy["fds"] = new Map()): FileMismatch[] {
	const wanted = new Map<string, { readonly looks: Wanted[]; readonly descriptors: number[]; mapped: boolean }>();
	const want = (looks: Wanted, descriptor?: number): void => {
		const known = wanted.get(looks.path) ?? { looks: [], descriptors: [], mapped: false };
		wanted.set(looks.path, known);
		known.looks.push(looks);
		if (descriptor === undefined) known.mapped = true;
		else known.descriptors.push(descriptor);
	};
	for (const looks of task.memory.files.values()) want({ ...looks, isMapped: true });
	const waiting = new Set<string>();
	const { descriptors } = task.files;
	for (const { number, description } of descriptors) {
		if (fds.has(number)) continue;
		for (const { looks, unlinked = false, apart = false } of kindOf(description).making.files?.(description) ?? []) {
			// /proc/PID of the process itself does not exist yet
			if (unlinked || ownName(looks.path, task.identity.pid) !== undefined) continue;
			want(looks, number);
			if (!apart && waitsForOtherEnd(description.flags)) waiting.add(looks.path);
		}
	}
	for (const path of namedDirectories(task.files)) want({ path });
	return [...wanted].flatMap(([path, { looks, descriptors: numbers, mapped }]) => {
		const here = opened(path);
		const verdict = looks.map((it) => judge({ ...it, waits: waiting.has(path) }, here)).find(isOther);
		return verdict === undefined ? [] : [{ path, verdict, descriptors: mapped ? [] : numbers }];
	});
}

const waitsForOtherEnd = (flags: number): boolean =>
	(flags & O_ACCMODE) !== O.RDWR && (flags & (O.NONBLOCK | O.PATH)) === 0;

/**
 * With `missing: "null"`, descriptors whose file is not here get /dev/null; nothing helps against the other mismatches.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH with all of them.
 */
export function settleMismatches(mismatches: readonly FileMismatch[], policy: FilePolicy): FilePolicy {
	const replaced = ({ verdict, descriptors }: FileMismatch): boolean =>
		policy.missing === "null" && verdict.kind === "gone" && descriptors.length > 0;
	const left = mismatches.filter((it) => !replaced(it));
	if (left.length > 0) refuseMismatches(left);
	const extra = mismatches.flatMap(({ descriptors }) =>
		descriptors.map((number): [number, string] => [number, "/dev/null"]),
	);
	return { ...policy, fds: new Map([...extra, ...policy.fds]) };
}

function refuseMismatches(mismatches: readonly FileMismatch[]): never {
	const remedy = mismatches.some(({ verdict }) => isForbidden(verdict))
		? "let its user use them, or give them to it with --trust, if whoever wrote what it is made from is to be trusted"
		: mismatches.every(({ descriptors }) => descriptors.length > 0)
			? "put back what the process had, or name another file with --fd N=PATH"
			: "restore where the files are as they were";
	const faults = mismatches.map(({ path, verdict }) => ({ subject: path, ...wordsOf(verdict) }));
	return refuseAll("ERR_FILE_MISMATCH", "files", faults, remedy);
}

const wordsOf = (verdict: Different | Gone): Pick<Different, "finding" | "expectation"> =>
	verdict.kind === "different"
		? verdict
		: { finding: verdict.because, expectation: isForbidden(verdict) ? "expected to use it" : "expected that file" };

const isForbidden = (verdict: Different | Gone): boolean =>
	verdict.kind === "gone" && (verdict.why === "closed" || verdict.why === "redirected");
