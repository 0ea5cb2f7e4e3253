import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { present } from "../present.ts";
import { built } from "./built.ts";
import { soon } from "./living.ts";
import { openRoom, type Ran, type Room } from "./room.ts";

/** A room that a test file has for itself. Nobody of a test lives when the next begins. */
export interface OwnRoom {
	/** The same path inside and here; everybody may read what is in it. */
	readonly directory: string;
	/** It is there from `ready` on. */
	room(): Room;
	/** The command line that runs our program. */
	command(...args: readonly string[]): readonly string[];
	necromancer(...args: readonly string[]): Ran;
	/**
	 * Begins a program in a session of its own that may leave a core.
	 *
	 * @param how Where it does, and where in there its output goes: `directory` and nowhere unless said otherwise.
	 * @returns its id.
	 */
	begin(command: readonly string[], how?: { readonly at?: string; readonly output?: string }): number;
	/** Waits until nobody lives in it. */
	empty(): Promise<void>;
	/** Ends whoever lives in it. */
	clear(): Promise<void>;
	/** Has the only one who lives in it die of a signal. @param at where it was begun. @returns its core. */
	kill(pid: number, signal: string, at?: string): Promise<string>;
}

/**
 * @param able Whether all is here that the file needs, rooms too; if not, nothing is made.
 * @param patience Milliseconds that `ready` may take; as long as hooks may unless said otherwise.
 * @param ready Told the room when it is there: to compile what will live in it.
 */
export function ownRoom(
	{ able, patience }: { readonly able: boolean; readonly patience?: number },
	ready: (room: Room) => Promise<void> | void,
): OwnRoom {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-room-"));
	let main = "";
	let own: Room | undefined;
	const room = (): Room => present(own);
	const empty = async (): Promise<void> => {
		expect(await soon(() => room().pids().length === 0)).toBe(true);
	};
	const clear = async (): Promise<void> => {
		for (const pid of room().pids()) room().run(["kill", "-KILL", `${pid}`]);
		await empty();
	};
	beforeAll(async () => {
		if (!able) return;
		main = join(built(), "cli/main.js");
		chmodSync(directory, 0o755);
		own = await openRoom();
		await ready(own);
	}, patience);
	afterEach(async () => {
		if (own !== undefined) await clear();
	});
	afterAll(async () => {
		await own?.close();
		rmSync(directory, { recursive: true, force: true });
	});
	const command = (...args: readonly string[]): readonly string[] => [process.execPath, main, ...args];
	return {
		...{ directory, room, command, empty, clear },
		necromancer: (...args) => room().run(command(...args)),
		begin: (words, { at = directory, output = "/dev/null" } = {}) => {
			const script = 'cd "$1"; log=$2; shift 2; ulimit -c unlimited; setsid "$@" </dev/null >"$log" 2>&1 & echo $!';
			return Number(room().run(["sh", "-c", script, "sh", at, output, ...words]).stdout);
		},
		kill: async (pid, signal, at = directory) => {
			for (const name of coresIn(at)) rmSync(join(at, name));
			room().run(["kill", `-${signal}`, `${pid}`]);
			await empty();
			return join(at, present(coresIn(at)[0]));
		},
	};
}

const coresIn = (directory: string): string[] => readdirSync(directory).filter((name) => /^core/.test(name));
