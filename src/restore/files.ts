import { statSync } from "node:fs";
import { attempt, openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { sameBuildId } from "../criu/build-id.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { refuseAll } from "../errors.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { S_IFIFO, S_IFMT, S_IFREG } from "../linux/stat.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { ownProcPath } from "../proc/own-paths.ts";
import type { MappedFile } from "../task/file-identity.ts";
import type { Task } from "../task/task.ts";

/** A file that is not as the dead process had it. */
export interface FileMismatch {
	readonly path: string;
	readonly problem: "missing" | "closed" | "size" | "mode" | "build-id";
	readonly finding: string;
	readonly expectation: string;
	/** Who had it open, by number; empty when it was mapped or a directory. */
	readonly descriptors: readonly number[];
}

/** How files on this host are looked at; links are followed. */
export interface HostLook {
	/** Why the user of the process may not use what is there, in words; nothing where he may. */
	closed?(path: string): string | undefined;
	/** `undefined` where there is nothing. */
	stat(path: string): { readonly size: bigint; readonly mode: number } | undefined;
	/** Of a regular file, lower-case hex. */
	buildId(path: string): string | undefined;
}

/**
 * Holds every file that the process had mapped or open, its executable and its directories against this host: there,
 * with the size, the mode and the build-id that the images name. What they do not name is not looked at. Descriptors
 * with another file in their place do not count.
 *
 * @returns all mismatches, in the order of the descriptors, mapped files first.
 */
export function checkFiles(task: Task, host: HostLook, fds: FilePolicy["fds"] = new Map()): FileMismatch[] {
	const wanted = new Map<string, { readonly looks: MappedFile[]; readonly descriptors: number[]; mapped: boolean }>();
	const want = (looks: MappedFile, descriptor?: number): void => {
		const known = wanted.get(looks.path) ?? { looks: [], descriptors: [], mapped: false };
		wanted.set(looks.path, known);
		known.looks.push(looks);
		if (descriptor === undefined) known.mapped = true;
		else known.descriptors.push(descriptor);
	};
	for (const looks of task.memory.files.values()) want(looks);
	const waiting = new Set<string>();
	const { cwd, root, descriptors } = task.files;
	for (const { number, description } of descriptors) {
		if (fds.has(number)) continue;
		// /proc/PID of the process itself does not exist yet
		const own = description.kind === "file" && ownProcPath(description.path, task.identity.pid) !== undefined;
		if (description.kind === "file" && !description.unlinked && !own) {
			want(description, number);
			if (waitsForOtherEnd(description.flags)) waiting.add(description.path);
		}
		if (description.kind === "fifo") want(description.file, number);
	}
	for (const path of [cwd, root]) if (path !== undefined) want({ path });
	return [...wanted].flatMap(([path, { looks, descriptors: numbers, mapped }]) => {
		const found =
			looks.flatMap((it) => mismatch(it, host) ?? [])[0] ?? (waiting.has(path) ? pipe(path, host) : undefined);
		return found === undefined ? [] : [{ ...found, descriptors: mapped ? [] : numbers }];
	});
}

function mismatch(
	{ path, size, mode, buildId }: MappedFile,
	host: HostLook,
): Omit<FileMismatch, "descriptors"> | undefined {
	const closed = host.closed?.(path);
	if (closed !== undefined) return { path, problem: "closed", finding: closed, expectation: "expected to use it" };
	const here = host.stat(path);
	if (here === undefined)
		return { path, problem: "missing", finding: "is not here", expectation: "expected that file" };
	if (mode !== undefined && mode !== here.mode)
		return { path, problem: "mode", finding: `has mode ${octal(here.mode)}`, expectation: `expected ${octal(mode)}` };
	if (buildId !== undefined && (here.mode & S_IFMT) === S_IFREG) {
		const id = host.buildId(path);
		if (id === undefined || !sameBuildId(id, buildId))
			return { path, problem: "build-id", finding: `has build-id ${id ?? "none"}`, expectation: `expected ${buildId}` };
	}
	if (size !== undefined && size !== here.size)
		return { path, problem: "size", finding: `has ${here.size} bytes`, expectation: `expected ${size}` };
	return undefined;
}

const waitsForOtherEnd = (flags: number): boolean =>
	(flags & O_ACCMODE) !== O.RDWR && (flags & (O.NONBLOCK | O.PATH)) === 0;

/** Refuses a FIFO in the place of a regular file: opening one end would block until somebody opens the other. */
const pipe = (path: string, host: HostLook): Omit<FileMismatch, "descriptors"> | undefined =>
	((host.stat(path)?.mode ?? 0) & S_IFMT) === S_IFIFO
		? { path, problem: "mode", finding: "is a FIFO", expectation: "expected a file" }
		: undefined;

const octal = (mode: number): string => `0${mode.toString(8)}`;

/**
 * With `missing: "null"`, descriptors whose file is not here get /dev/null; nothing helps against the other mismatches.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH with all of them.
 */
export function settleMismatches(mismatches: readonly FileMismatch[], policy: FilePolicy): FilePolicy {
	const replaced = ({ problem, descriptors }: FileMismatch): boolean =>
		policy.missing === "null" && (problem === "missing" || problem === "closed") && descriptors.length > 0;
	const left = mismatches.filter((it) => !replaced(it));
	if (left.length > 0) refuseMismatches(left);
	const extra = mismatches.flatMap(({ descriptors }) =>
		descriptors.map((number): [number, string] => [number, "/dev/null"]),
	);
	return { ...policy, fds: new Map([...extra, ...policy.fds]) };
}

/**
 * Checks the files that the user names for descriptors (--fd).
 *
 * @throws NecromancerError ERR_FILE_MISMATCH with all that is not here.
 */
export function requireNamed(fds: FilePolicy["fds"], host: HostLook): void {
	const faults = [...fds]
		.filter(([, path]) => host.stat(path) === undefined)
		.map(([number, path]) => ({
			...{ subject: path, finding: "is not here" },
			expectation: `expected a file for descriptor ${number}`,
		}));
	if (faults.length > 0) refuseAll("ERR_FILE_MISMATCH", "files", faults, "name another with --fd N=PATH");
}

function refuseMismatches(mismatches: readonly FileMismatch[]): never {
	const remedy = mismatches.some(({ problem }) => problem === "closed")
		? "let its user use them, or give them to it with --trust, if whoever wrote what it is made from is to be trusted"
		: mismatches.every(({ descriptors }) => descriptors.length > 0)
			? "put back what the process had, or name another file with --fd N=PATH"
			: "restore where the files are as they were";
	const faults = mismatches.map(({ path, finding, expectation }) => ({ subject: path, finding, expectation }));
	return refuseAll("ERR_FILE_MISMATCH", "files", faults, remedy);
}

const NOT_THERE: readonly string[] = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** This host's own files. */
export const hostLook: HostLook = {
	stat: (path) => {
		// no file has such a name, and Node throws something else
		if (path.includes("\0")) return undefined;
		return attempt(path, () => {
			try {
				const { size, mode } = statSync(Buffer.from(bytesFromText(path)), { bigint: true });
				return { size, mode: Number(mode) };
			} catch (error) {
				if (NOT_THERE.includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
				throw error;
			}
		});
	},
	buildId: (path) => {
		const source = openFile(Buffer.from(bytesFromText(path)), path);
		try {
			return buildIdOfFile(source);
		} finally {
			source.close();
		}
	},
};
