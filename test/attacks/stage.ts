import { spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { soon } from "../support/living.ts";
import { compile } from "./compile.ts";

/** The attacker: a user without any right. */
export const UID = 1000;

/** What only root may read. As long as what the user has: nobody tells them apart by their sizes. */
export const SECRET = "SECRET-OF-ROOT\n";
const OWN = "of-the-user---\n";

/** A user's directory with files, root's files of the same looks beside it, and a process that has the user's. */
export interface Stage {
	readonly directory: string;
	/** `log` in the user's directory. */
	own(name: Target): string;
	/** Puts a link to root's own in the place of the user's. */
	swap(name: Target): void;
	/** Puts another file of the user's there, with the same looks. */
	replace(name: Target): void;
	/** The process, alive: its id. */
	live(): Promise<number>;
	close(): void;
}

/** What can be swapped: an open file, a mapped file, the working directory, the root directory, the executable. */
export type Target = "log" | "data" | "d" | "r" | "prog";

const directories: readonly Target[] = ["d", "r"];

export function openStage(): Stage {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-attack-"));
	chmodSync(directory, 0o755);
	const [mine, roots] = [join(directory, "u"), join(directory, "root")];
	const program = compile("victim");
	for (const [place, owner, word] of [
		[mine, UID, OWN],
		[roots, 0, SECRET],
	] as const) {
		mkdirSync(place);
		chmodSync(place, 0o755);
		for (const name of ["log", "data"]) writeFileSync(join(place, name), word, { mode: 0o600 });
		for (const name of directories) mkdirSync(join(place, name), { mode: 0o700 });
		copyFileSync(program, join(place, "prog"));
		chmodSync(join(place, "prog"), 0o700);
		for (const name of ["", "log", "data", "prog", ...directories]) chownSync(join(place, name), owner, owner);
	}
	const pids: number[] = [];
	const own = (name: Target): string => join(mine, name);
	return {
		directory,
		own,
		swap: (name) => {
			renameSync(own(name), `${own(name)}.away`);
			symlinkSync(join(roots, name), own(name));
		},
		replace: (name) => {
			renameSync(own(name), `${own(name)}.away`);
			if (directories.includes(name)) mkdirSync(own(name), { mode: 0o700 });
			else copyFileSync(`${own(name)}.away`, own(name));
			chmodSync(own(name), directories.includes(name) || name === "prog" ? 0o700 : 0o600);
			chownSync(own(name), UID, UID);
		},
		live: async () => {
			const child = spawn(own("prog"), [mine], {
				...{ uid: UID, gid: UID, cwd: "/", env: {}, detached: true, stdio: "ignore" },
			});
			const { pid } = child;
			if (pid === undefined) throw new Error("the victim could not be started");
			pids.push(pid);
			// the last thing that it does
			expect(await soon(() => readlinkSync(`/proc/${pid}/cwd`) === own("d"))).toBe(true);
			return pid;
		},
		close: () => {
			for (const pid of pids) if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
			rmSync(directory, { recursive: true, force: true });
		},
	};
}
