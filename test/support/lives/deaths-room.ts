import { canDie, compileDeaths, type Death, die, type Program } from "./deaths.ts";
import { FAULTY_NEEDS } from "./faulty.ts";
import { type OwnRoom, ownRoom } from "./own-room.ts";
import type { Ran, Room } from "./room.ts";

/** Where the programs of a test file die and are raised. */
export interface DeathsRoom extends Pick<OwnRoom, "directory" | "command" | "necromancer" | "clear"> {
	/** Whether it can be had here, and what a title says if not. */
	readonly able: boolean;
	readonly needs: string;
	/** By those who trust the core. */
	raise(...args: readonly string[]): Ran;
	/** A program, the room's own unless said otherwise, died HOW; each with ids that no other had. */
	dead(how: string, of?: Program): Death;
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
	let next = first;
	let program: Program;
	const { directory, room, command, necromancer, clear } = ownRoom({ able }, (there) => {
		program = compileDeaths(directory, source);
		ready({ room: there, program });
	});
	return {
		able,
		needs: able ? "" : ` (${FAULTY_NEEDS}, nm, gdb)`,
		...{ directory, command, necromancer, clear },
		raise: (...args) => necromancer("raise", "--trust", ...args),
		dead: (how, of = program) => {
			next += 100;
			return die(room(), of, directory, how, next);
		},
	};
}
