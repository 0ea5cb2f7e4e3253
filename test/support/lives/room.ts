import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fixturePath } from "../builders/fixture-core.ts";
import { need } from "../tools.ts";

/**
 * A room of its own for the dead: mount and pid namespaces in which every process id is free and the files that the
 * fixtures name lie where they name them. Nothing of the machine changes, and its end is the end of all who live in it.
 */
export interface Room {
	/** A path of the room, as seen from here. */
	path(inside: string): string;
	/**
	 * Runs a program in it to its end; its TMPDIR is `temporary`.
	 *
	 * @param patience Milliseconds after which it is ended, for what is known to take long; a test that hangs tells nothing.
	 */
	run(command: readonly string[], env?: Record<string, string>, patience?: number): Ran;
	/** Puts a fixture's log where its process had it. */
	putLog(fixture: string): void;
	/** The ids of all processes in it but its first, zombies included. */
	pids(): number[];
	/** For temporary files: the same path inside and here. */
	readonly temporary: string;
	close(): Promise<void>;
}

export interface Ran {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

/** Run by unshare(1), with the directory that becomes /opt. */
const FIRST = join(import.meta.dirname, "../../../scripts/room.sh");
const flags = ["--mount", "--pid", "--fork", "--kill-child"] as const;

/** Whether rooms can be made here. */
export const canHaveRooms = (): boolean =>
	need(
		"root, unshare and nsenter",
		process.getuid?.() === 0 &&
			spawnSync("unshare", [...flags, "sh", "-c", "mount -t proc proc /proc"], { stdio: "ignore" }).status === 0 &&
			spawnSync("nsenter", ["--version"], { stdio: "ignore" }).status === 0,
	);

/** Whether cores land in the working directory; a handler, or a path, takes them elsewhere. */
export const coresLandHere = (): boolean =>
	need("a core_pattern that is a plain name", !/[|@/]/.test(readFileSync("/proc/sys/kernel/core_pattern", "utf8")));

export async function openRoom(): Promise<Room> {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-room-"));
	const [base, temporary] = [join(directory, "opt"), join(directory, "tmp")];
	for (const path of [base, temporary]) mkdirSync(path);
	const holder = spawn("unshare", [...flags, "sh", FIRST, base], { stdio: ["pipe", "pipe", "inherit"] });
	const over = new Promise<void>((done) => holder.once("close", () => done()));
	const init = await firstLine(holder);
	const path = (inside: string): string => `/proc/${init}/root${inside}`;
	mkdirSync(path("/opt/victims/bin"));
	for (const name of readdirSync(fixturePath("bin"))) {
		const to = path(`/opt/victims/bin/${name}`);
		copyFileSync(fixturePath(`bin/${name}`), to);
		chmodSync(to, 0o755);
	}
	return {
		path,
		temporary,
		run: ([program = "", ...args], env = {}, patience = 50_000) => {
			const { status, stdout, stderr } = spawnSync(
				"nsenter",
				[`--target=${init}`, "--mount", "--pid", "--", program, ...args],
				{
					encoding: "utf8",
					env: { ...process.env, NO_COLOR: "1", TMPDIR: temporary, ...env },
					timeout: patience,
					stdio: ["ignore", "pipe", "pipe"],
				},
			);
			return { status, stdout, stderr };
		},
		putLog: (fixture) => {
			const to = path(`/opt/victims/run/${fixture}/log`);
			mkdirSync(dirname(to), { recursive: true });
			copyFileSync(fixturePath(`${fixture}/dead.log`), to);
			chmodSync(to, 0o644);
		},
		pids: () =>
			readdirSync(path("/proc"))
				.map(Number)
				.filter((pid) => pid > 1),
		close: async () => {
			holder.stdin?.end();
			await over;
			rmSync(directory, { recursive: true, force: true });
		},
	};
}

const firstLine = (child: ChildProcess): Promise<string> =>
	new Promise((done, fail) => {
		child.stdout?.once("data", (bytes: Buffer) => done(bytes.toString().trim()));
		child.once("close", (status) => fail(new Error(`no room: unshare ended with ${status}`)));
	});

/** The lines of a log once it has `count` of them; as many as there are after ten seconds. */
export async function linesOf(log: string, count: number): Promise<string[]> {
	const lines = (): string[] => readFileSync(log, "utf8").split("\n").slice(0, -1);
	for (const end = performance.now() + 10_000; lines().length < count && performance.now() < end; ) await sleep(20);
	return lines();
}
