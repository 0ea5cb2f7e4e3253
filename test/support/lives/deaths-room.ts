import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { built } from "./built.ts";
import { canDie, compileDeaths, type Death, die, type Program } from "./deaths.ts";
import { FAULTY_NEEDS } from "./faulty.ts";
import { soon } from "./living.ts";
import { openRoom, type Ran, type Room } from "./room.ts";

/** Where the programs of a test file die and are raised. Nobody of a test lives when the next begins. */
export interface DeathsRoom {
	/** Whether it can be had here, and what a title says if not. */
	readonly able: boolean;
	readonly needs: string;
	readonly directory: string;
	/** The command line that runs our program. */
	command(...args: readonly string[]): readonly string[];
	necromancer(...args: readonly string[]): Ran;
	/** By those who trust the core. */
	raise(...args: readonly string[]): Ran;
	/** A program, the room's own unless said otherwise, died HOW; each with ids that no other had. */
	dead(how: string, of?: Program): Death;
	/** Ends whoever lives in it. */
	clear(): Promise<void>;
}

/**
 * @param first The id of the first who dies, less a hundred: so that files do not use each other's.
 * @param source As for {@link compileDeaths}.
 * @param ready Told the room and its program when they are there.
 */
export function deathsRoom(
	{ first = 0, source }: { readonly first?: number; readonly source?: string },
	ready: (there: { readonly room: Room; readonly program: Program }) => void,
): DeathsRoom {
	const able = canDie();
	const directory = mkdtempSync(join(tmpdir(), "necromancer-deaths-"));
	let [main, next] = ["", first];
	let program: Program;
	let room: Room;
	const clear = async (): Promise<void> => {
		for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
		expect(await soon(() => room.pids().length === 0)).toBe(true);
	};
	beforeAll(async () => {
		if (!able) return;
		main = join(built(), "cli/main.js");
		program = compileDeaths(directory, source);
		room = await openRoom();
		ready({ room, program });
	});
	afterEach(async () => {
		if (able) await clear();
	});
	afterAll(async () => {
		if (able) await room.close();
		rmSync(directory, { recursive: true, force: true });
	});
	const command = (...args: readonly string[]): readonly string[] => [process.execPath, main, ...args];
	const necromancer = (...args: readonly string[]): Ran => room.run(command(...args));
	return {
		able,
		needs: able ? "" : ` (${FAULTY_NEEDS}, nm, gdb)`,
		directory,
		command,
		necromancer,
		raise: (...args) => necromancer("raise", "--trust", ...args),
		dead: (how, of = program) => {
			next += 100;
			return die(room, of, directory, how, next);
		},
		clear,
	};
}
