import {
	type BigIntStats,
	existsSync,
	lstatSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	statfsSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { attempt } from "../bytes/source.ts";
import { textFromBytes } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import type { Whose } from "./whose.ts";

/*
 * How everything below /proc is read (proc(5)), for the readers in this room alone. What goes wrong is told the same way
 * everywhere: a process that has ended is ERR_PROCESS; one that is hidden from us, or that we may not look at, is ERR_HOST;
 * everything else is ERR_IO about the file.
 */

/** Its path, or that of something in it. */
export function placeOf(whose: Whose, name?: string): string {
	const directory = typeof whose === "object" ? `/proc/${whose.pid}/task/${whose.tid}` : `/proc/${whose}`;
	return name === undefined ? directory : `${directory}/${name}`;
}

export const bytesIn = (whose: Whose, name: string): Buffer => look(whose, name, (path) => readFileSync(path));

/** What is not UTF-8 in it is as {@link textFromBytes} says. */
export const textIn = (whose: Whose, name: string): string => textFromBytes(bytesIn(whose, name));

/** Where a link leads, by the name that the kernel gives it. */
export const linkIn = (whose: Whose, name: string): string =>
	look(whose, name, (path) => textFromBytes(readlinkSync(path, "buffer")));

/** The numbers that a directory lists, in its order. */
export const numbersIn = (whose: Whose, name: string): number[] =>
	look(whose, name, (path) => readdirSync(path).map(Number));

/** The file that a link leads to, whatever has become of its name. */
export const fileIn = (whose: Whose, name: string): BigIntStats =>
	look(whose, name, (path) => statSync(path, { bigint: true }));

/** The magic number of the file system that the file is of (statfs(2)). */
export const fileSystemIn = (whose: Whose, name: string): bigint =>
	look(whose, name, (path) => statfsSync(path, { bigint: true }).type);

/** The permissions of a link itself, which say how its file was opened. */
export const permissionsIn = (whose: Whose, name: string): number =>
	look(whose, name, (path) => lstatSync(path).mode & 0o777);

/** A value below /proc/sys. @throws NecromancerError ERR_IO */
export function sysctl(name: string): string {
	const path = `/proc/sys/${name}`;
	return attempt(path, () => readFileSync(path, "latin1"));
}

/** A file of /proc that is of no process. @throws the errno of node:fs. */
export const globalText = (name: string): string => textFromBytes(readFileSync(`/proc/${name}`));

/** Whether there is something below /proc: an id that somebody has, a switch that the kernel knows. */
export const isThere = (name: string): boolean => existsSync(`/proc/${name}`);

/** The ids of processes that are shown. @throws NecromancerError ERR_IO */
export const processIds = (): number[] =>
	attempt("/proc", () => readdirSync("/proc"))
		.filter((name) => /^\d+$/.test(name))
		.map(Number);

/** @throws the errno of node:fs: what cannot be written says why, and its caller what for. */
export const writeIn = (whose: Whose, name: string, text: string): void => writeFileSync(placeOf(whose, name), text);

function look<T>(whose: Whose, name: string, call: (path: string) => T): T {
	const path = placeOf(whose, name);
	try {
		return call(path);
	} catch (cause) {
		return explain(whose, name, cause as NodeJS.ErrnoException);
	}
}

function explain(whose: Whose, name: string, cause: NodeJS.ErrnoException): never {
	const { code } = cause;
	const subject =
		typeof whose === "object" ? `thread ${whose.tid}` : `process ${whose === "self" ? process.pid : whose}`;
	if (code === "EACCES" || code === "EPERM")
		refuse(
			"ERR_HOST",
			{
				subject,
				finding: `does not show us its ${name} (${code})`,
				expectation: "expected to be allowed to trace it",
				remedy: "be root or have CAP_SYS_PTRACE",
			},
			{ cause },
		);
	if (code !== "ENOENT" && code !== "ESRCH")
		attempt(placeOf(whose, name), () => {
			throw cause;
		});
	if (existsSync(placeOf(whose)))
		refuse(
			"ERR_PROCESS",
			{ subject, finding: `has no ${name}`, expectation: "expected a living process, and a kernel that tells" },
			{ cause },
		);
	if (isAlive(typeof whose === "object" ? whose.tid : whose))
		refuse(
			"ERR_HOST",
			{
				subject,
				finding: "lives, and /proc does not show it",
				expectation: "expected to see it there",
				remedy: "be root, or mount /proc without hidepid and for our pid namespace",
			},
			{ cause },
		);
	return refuse(
		"ERR_PROCESS",
		{ subject, finding: "is not there", expectation: "expected a living process" },
		{ cause },
	);
}

function isAlive(id: number | "self"): boolean {
	if (id === "self") return true;
	try {
		process.kill(id, 0);
		return true;
	} catch (cause) {
		return (cause as NodeJS.ErrnoException).code === "EPERM";
	}
}
