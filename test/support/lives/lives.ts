import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { linesOf, type Ran, type Room } from "./room.ts";
import { saidRestored } from "./said-restored.ts";

/*
 * Processes of our own (lives/*.c), made, dumped and restored by the program as a user runs it, and looked at in between. Nothing of the
 * looking comes from src/: registers, pages and waiting signals are read by lives/onlooker.c, the rest in /proc.
 */

/** A process of a room, and what it has said so far. */
export interface Life {
	readonly room: Room;
	readonly pid: number;
	/** Where the compiled programs are, and what is made for it: its log, its looks, its images. */
	readonly directory: string;
	readonly name: string;
	readonly dist: string;
}

export function compileLives(directory: string, names: readonly string[]): void {
	for (const name of [...names, "onlooker"])
		execFileSync("gcc", [
			...["-w", "-O1", "-pthread", "-o", join(directory, name)],
			// what has lost its name beside all else: the same program, with more
			...(name === "ghosts" ? ["-DGHOSTS"] : []),
			...[resolve(import.meta.dirname, `${name === "ghosts" ? "objects" : name}.c`), "-lrt"],
		]);
}

let count = 0;

/** Starts a program, and waits for its first line. */
export async function beginLife(
	room: Room,
	directory: string,
	dist: string,
	program: string,
	args: readonly string[] = [],
): Promise<Life> {
	const name = `${program}-${++count}`;
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	const command = [join(directory, program), ...args];
	const { stdout } = room.run(["sh", "-c", script, "sh", join(directory, `${name}.log`), ...command]);
	const life = { room, pid: Number(stdout), directory, name, dist };
	await linesOf(logOf(life), 1);
	return life;
}

const logOf = ({ directory, name }: Life): string => join(directory, `${name}.log`);

export const said = (life: Life): string[] => readFileSync(logOf(life), "utf8").split("\n").slice(0, -1);

/** The next lines that it says; it may be faster than we look. */
export async function more(life: Life, lines: number): Promise<string[]> {
	const before = said(life).length;
	return (await linesOf(logOf(life), before + lines)).slice(before, before + lines);
}

/** What it answers when it is asked with a signal. */
export async function asked(life: Life): Promise<string> {
	const before = said(life).length;
	signal(life, "USR1");
	return (await linesOf(logOf(life), before + 1))[before] ?? "nothing";
}

export const signal = ({ room, pid }: Life, name: string): void =>
	expect(room.run(["kill", `-${name}`, `${pid}`]).status).toBe(0);

export const proc = ({ room, pid }: Life, name: string): string => room.path(`/proc/${pid}/${name}`);

export async function until(holds: () => boolean): Promise<boolean> {
	for (const end = performance.now() + 10_000; performance.now() < end; await sleep(5)) if (holds()) return true;
	return holds();
}

const statusOf = (life: Life, task: string): string => readFileSync(proc(life, `${task}status`), "latin1");
export const tasksOf = (life: Life): string[] => readdirSync(proc(life, "task"));

/** Stops it, or waits until it is. */
export async function standStill(life: Life): Promise<void> {
	signal(life, "STOP");
	await standing(life);
}

async function standing(life: Life): Promise<void> {
	const stopped = (): boolean => tasksOf(life).every((tid) => /^State:\tT/m.test(statusOf(life, `task/${tid}/`)));
	expect(await until(stopped)).toBe(true);
}

export const necromancer = ({ room, dist }: Pick<Life, "room" | "dist">, args: readonly string[]): Ran =>
	room.run([process.execPath, join(dist, "cli/main.js"), ...args]);

/** Dumps it, which is its end. The directory of images. */
export async function dumpLife(life: Life): Promise<string> {
	const images = join(life.directory, `${life.name}-images-${++count}`);
	const dumped = necromancer(life, ["dump", "-t", `${life.pid}`, "-i", images, "-q"]);
	expect(dumped).toEqual({ status: 0, stdout: "", stderr: "" });
	expect(await until(() => life.room.pids().length === 0)).toBe(true);
	return images;
}

export function restoreLife(life: Life, images: string, how: "-d" | "-s"): void {
	const { status, stderr } = necromancer(life, ["restore", how, "-i", images]);
	const { pid } = life;
	const end = how === "-s" ? `, stopped: kill -CONT ${pid} lets it go on` : "";
	expect({ status, stderr }).toEqual({ status: 0, stderr: saidRestored(`${pid}${end}`) });
	expect(life.room.pids()).toEqual([pid]);
	expect(readdirSync(life.room.temporary)).toEqual([]);
}

/** A life as it looks while it stands still: facts by name, and its pages by address. */
export interface Look {
	readonly facts: ReadonlyMap<string, string>;
	readonly pages: ReadonlyMap<string, { readonly hash: string; readonly kind: string }>;
	/** What the onlooker wrote. */
	readonly file: string;
}

/** Looks at a process that stands still; at the pages of an earlier look too. */
export async function look(life: Life, earlier?: Look): Promise<Look> {
	const { room, pid, directory, name } = life;
	const again = earlier === undefined ? [] : [earlier.file];
	const file = join(directory, `${name}-look-${++count}`);
	const command = `exec "$@" >${file}`;
	const { status, stderr } = room.run(["sh", "-c", command, "sh", join(directory, "onlooker"), `${pid}`, ...again]);
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	const facts = new Map<string, string>();
	const pages = new Map<string, { hash: string; kind: string }>();
	const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
	expect(lines.pop()).toBe("end");
	for (const line of lines) {
		const [first = "", second = "", hash = "", kind = ""] = line.split(" ");
		if (first === "page") {
			if (kind !== "again" || !pages.has(second)) pages.set(second, { hash, kind });
		} else facts.set(line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1));
	}
	// its threads are on their way back into their stop
	await standing(life);
	for (const [what, value] of procFacts(life)) facts.set(what, value);
	writeFileSync(file, lines.filter((line) => line.startsWith("page ")).join("\n"));
	return { facts, pages, file };
}

/** What cannot be the same: inodes of what has no name are given out anew. */
const nameless = (text: string): string =>
	// an epoll that has fired its one shot waits for EPOLLERR and EPOLLHUP again, which nobody can leave out
	text
		.replace(/(events: 400000)18/, "$100")
		.replace(/ino:\w+ sdev:\w+/, "")
		.replace(/^(pipe:|.* \(deleted\)).*/, "$1");

function* procFacts(life: Life): Generator<[string, string]> {
	const read = (name: string): string => readFileSync(proc(life, name), "latin1");
	for (const tid of tasksOf(life)) {
		for (const [, name = "", value = ""] of statusOf(life, `task/${tid}/`).matchAll(/^(\w+):\t(.*)$/gm))
			if (/^(Name|Umask|State|.id|Groups|N?S?[Pp]g?id|Sig[^Q]|Shd|Cap|NoNew|Seccomp|THP|VmLck)/.test(name))
				yield [`${tid} status ${name}`, value];
		const stat = read(`task/${tid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
		// fields 18, 19, 40, 41 of proc(5): priority, nice, rt_priority, policy
		yield [`${tid} scheduling`, [18, 19, 40, 41].map((field) => stat[field - 3]).join(" ")];
	}
	for (const name of ["cmdline", "environ", "auxv", "limits", "oom_score_adj"]) yield [name, read(name)];
	for (const name of ["cwd", "root", "exe"]) yield [name, readlinkSync(proc(life, name))];
	for (const [, id, signal, , rest] of read("timers").matchAll(
		/^ID: (\d+)\nsignal: (.*)\/(.*)\n([\s\S]*?)(?=^ID|(?![\s\S]))/gm,
	))
		yield [`timer ${id}`, `${signal} ${rest}`];
	for (const fd of readdirSync(proc(life, "fd"))) {
		yield [`descriptor ${fd}`, nameless(readlinkSync(proc(life, `fd/${fd}`)))];
		const info = read(`fdinfo/${fd}`).split("\n");
		// what passes, what the kernel numbers, and whether a timer was set for a time or for an interval: it is set to what was left
		const steady = info.filter((line) => !/^(mnt_id|ino|eventfd-id|it_value|settime flags|scm_fds)/.test(line));
		yield [`descriptor ${fd} info`, steady.map(nameless).sort().join("\n")];
	}
	yield* mappingFacts(read("smaps"));
}

/** sd: written since somebody cleared the marks; ac: counted when it could be written, which it need not be any more. */
const passing = new Set(["sd", "ac"]);

/** Mappings, neighbours of one kind joined: permissions, flags, and what they show. */
function* mappingFacts(smaps: string): Generator<[string, string]> {
	let last: { start: string; end: bigint; offset: bigint; what: string } | undefined;
	const header = /^(\w+)-(\w+) (....) (\w+) \S+ \d+ *(.*)\n[\s\S]*?^VmFlags: (.*)$/gm;
	for (const [, start = "", to = "", perms, from, name = "", flags = ""] of smaps.matchAll(header)) {
		if (name === "[vsyscall]") continue;
		const [at, end] = [BigInt(`0x${start}`), BigInt(`0x${to}`)];
		const anonymous = name === "" || name.startsWith("[");
		const offset = anonymous ? 0n : BigInt(`0x${from}`);
		const what = [
			perms,
			name,
			flags
				.trim()
				.split(" ")
				.filter((flag) => !passing.has(flag))
				.join(" "),
		].join(" ");
		const follows =
			last?.end === at &&
			last.what === what &&
			(anonymous || last.offset + (at - BigInt(`0x${last.start}`)) === offset);
		if (last !== undefined && follows) last.end = end;
		else {
			if (last !== undefined) yield [`mapping ${last.start}`, `${last.end.toString(16)} ${last.offset} ${last.what}`];
			last = { start, end, offset, what };
		}
	}
	if (last !== undefined) yield [`mapping ${last.start}`, `${last.end.toString(16)} ${last.offset} ${last.what}`];
}

const ZERO = "0".repeat(16);

/** What differs between two looks: `fact: before, then after`. Pages that nobody had touched are as good as zeros. */
export function changes(before: Look, after: Look): string[] {
	const names = new Set([...before.facts.keys(), ...after.facts.keys()]);
	const facts = [...names]
		.filter((name) => before.facts.get(name) !== after.facts.get(name))
		.map((name) => `${name}: ${before.facts.get(name)}, then ${after.facts.get(name)}`);
	const lost = [...before.pages].filter(([at, { hash }]) => after.pages.get(at)?.hash !== hash);
	// a page of a file may come in at any time
	const strange = [...after.pages].filter(
		([at, { hash, kind }]) => !before.pages.has(at) && kind !== "file" && hash !== ZERO,
	);
	return [...facts, ...lost.map(([at]) => `page ${at} changed`), ...strange.map(([at]) => `page ${at} was not there`)];
}
