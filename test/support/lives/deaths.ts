import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { present } from "../present.ts";
import { hasTool } from "../tools.ts";
import { canBeFaulty } from "./faulty.ts";
import type { Room } from "./room.ts";

/*
 * Programs that die in odd ways (deaths.c), their cores as the kernel writes them, and a look at what was raised: nothing of the
 * looking comes from src/.
 */

export const canDie = (): boolean => canBeFaulty() && hasTool("nm") && hasTool("gdb");

/** A program that has its variables at fixed addresses. */
export interface Program {
	readonly binary: string;
	/** Address of a symbol. */
	at(symbol: string): number;
}

/** @param source of this directory, in C or in C++. */
export function compileDeaths(directory: string, source = "deaths.c"): Program {
	const binary = join(directory, basename(source, extname(source)));
	const path = fileURLToPath(new URL(`./${source}`, import.meta.url));
	execFileSync(extname(source) === ".c" ? "gcc" : "g++", [
		"-g",
		"-O0",
		"-w",
		"-pthread",
		"-no-pie",
		"-o",
		binary,
		path,
	]);
	const rows = execFileSync("nm", [binary], { encoding: "utf8" }).split("\n");
	const symbols = new Map(rows.map((row) => [row.slice(19), Number.parseInt(row.slice(0, 16), 16)]));
	return { binary, at: (symbol) => present(symbols.get(symbol)) };
}

export interface Death {
	readonly core: string;
	readonly pid: number;
	/** Where it died, and what it may write to. */
	readonly place: string;
}

/** Has it die HOW in a room, with a stack of at most one MiB. */
export function die(room: Room, { binary }: Program, directory: string, how: string, pid: number): Death {
	const place = join(directory, `${how}-${pid}`);
	mkdirSync(place);
	const script =
		'cd "$1"; ulimit -c unlimited; ulimit -s 1024; echo $(($4 - 1)) >/proc/sys/kernel/ns_last_pid; "$2" "$3" "$1/data"; mv core.* core 2>&-; :';
	room.run(["sh", "-c", script, "sh", place, binary, how, `${pid}`]);
	return { core: join(place, "core"), pid, place };
}

/** Memory of a process of the room; by a thread of it where its leader has ended. */
export function bytesAt(room: Room, pid: number, at: number, length: number, tid = pid): Buffer {
	const fd = openSync(room.path(`/proc/${pid}/task/${tid}/mem`), "r");
	try {
		const bytes = Buffer.alloc(length);
		readSync(fd, bytes, 0, length, at);
		return bytes;
	} finally {
		closeSync(fd);
	}
}

export const longAt = (room: Room, pid: number, at: number, tid = pid): bigint =>
	bytesAt(room, pid, at, 8, tid).readBigInt64LE();

export const tidsOf = (room: Room, pid: number): number[] => readdirSync(room.path(`/proc/${pid}/task`)).map(Number);

/** Changes a register of the first thread in a core, or of all of them, as no program of ours can. */
export function pokeRegister(core: string, name: "ip" | "fs_base", value: bigint, of: "first" | "all" = "first"): void {
	const bytes = readFileSync(core);
	// NT_PRSTATUS, 336 bytes of CORE; its registers begin at byte 112
	const head = Buffer.from([5, 0, 0, 0, 0x50, 1, 0, 0, 1, 0, 0, 0, 0x43, 0x4f, 0x52, 0x45, 0, 0, 0, 0]);
	for (let at = bytes.indexOf(head); at >= 0; at = of === "all" ? bytes.indexOf(head, at + 1) : -1)
		bytes.writeBigUInt64LE(value, at + head.length + 112 + 8 * { ip: 16, fs_base: 21 }[name]);
	writeFileSync(core, bytes);
}

/**
 * Garbles a core's NT_AUXV as coredump/criu_coredump does: as many pairs, each of a word and zero, so that half of the words
 * are lost.
 *
 * @returns the note as it was.
 */
export function garbleAuxv(core: string): Buffer {
	const bytes = readFileSync(core);
	const at = bytes.indexOf(Buffer.from("\x06\0\0\0CORE\0\0\0\0", "latin1"));
	const length = bytes.readUInt32LE(at - 4);
	const note = bytes.subarray(at + 12, at + 12 + length);
	const before = Buffer.from(note);
	for (let i = 0; 16 * i < length; i++) {
		before.copy(note, 16 * i, 8 * i, 8 * i + 8);
		note.writeBigUInt64LE(0n, 16 * i + 8);
	}
	writeFileSync(core, bytes);
	return before;
}

/** Takes the note of the process out of a core (NT_PRPSINFO, by giving it a type that nobody knows), as tools do that make cores smaller. */
export function withoutProcess(core: string): void {
	const bytes = readFileSync(core);
	const at = bytes.indexOf(Buffer.from("\x03\0\0\0CORE\0\0\0\0", "latin1"));
	bytes.writeUInt32LE(0x7fff_0000, at);
	writeFileSync(core, bytes);
}

/** What gdb says of a core. */
export const inCore = (room: Room, { binary }: Program, core: string, command: string): string =>
	room.run(["gdb", "-q", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-ex", command, binary, core]).stdout;

/** What gdb says of a stopped process, one line per expression. */
export function askGdb(room: Room, pid: number, ...commands: readonly string[]): string {
	const { stdout } = room.run([
		...["gdb", "-q", "-batch", "-nx", "-iex", "set debuginfod enabled off"],
		...["-iex", "handle SIGSTOP nostop noprint nopass", "-p", `${pid}`],
		...commands.flatMap((command) => ["-ex", command]),
	]);
	return stdout;
}

/** The registers of a core or of a process, by gdb. */
export const registersIn = (text: string): ReadonlyMap<string, string> =>
	new Map(
		[...text.matchAll(/^(r\w{1,2}|eflags|[er]ip)\s+(0x[0-9a-f]+)/gm)].map(([, name = "", value = ""]) => [name, value]),
	);

export const statusOf = (room: Room, pid: number, tid = pid): string =>
	readFileSync(room.path(`/proc/${pid}/task/${tid}/status`), "latin1");
