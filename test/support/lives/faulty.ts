import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasGcc } from "../tools.ts";
import { canHaveRooms, coresLandHere, openRoom } from "./room.ts";

/** What died of faulty.c, and how. */
export interface Faulty {
	readonly binary: string;
	/** Killed by its own fault. */
	readonly fault: string;
	/** Killed by a SIGQUIT that it sent itself; going on, it ends with status 7. */
	readonly signal: string;
	/** The same; going on, it tells its log. */
	readonly serve: string;
	/** What `serve` writes to, as far as it lived. */
	readonly log: string;
}

/** Their ids: higher than any that a room gives by itself. */
export const FAULTY_PID = 5001;
export const SIGNAL_PID = 6001;
export const SERVE_PID = 7001;

/** Whether faulty.c can be made and killed here, and its cores found. */
export const canBeFaulty = (): boolean => canHaveRooms() && hasGcc() && coresLandHere();

export const FAULTY_NEEDS = "needs root, unshare, nsenter, gcc and a kernel.core_pattern that is a plain name";

/** Makes the program in a directory, and kills it there, in a room of its own: the kernel writes its cores. */
export async function killFaulty(directory: string): Promise<Faulty> {
	const binary = join(directory, "faulty");
	const source = fileURLToPath(new URL("./faulty.c", import.meta.url));
	execFileSync("gcc", ["-g", "-O0", "-pthread", "-o", binary, source]);
	const room = await openRoom();
	try {
		const killed = (how: string, pid: number, ...more: readonly string[]): string => {
			const place = join(directory, how);
			mkdirSync(place);
			// the shell that was told the last id makes the next
			const script =
				'cd "$1"; ulimit -c unlimited; echo $(($4 - 1)) >/proc/sys/kernel/ns_last_pid; "$2" "$3" $5; mv core* core 2>&-; :';
			room.run(["sh", "-c", script, "sh", place, binary, how, String(pid), ...more]);
			return join(place, "core");
		};
		const log = join(directory, "log");
		return {
			binary,
			fault: killed("fault", FAULTY_PID),
			signal: killed("signal", SIGNAL_PID),
			serve: killed("serve", SERVE_PID, log),
			log,
		};
	} finally {
		await room.close();
	}
}
