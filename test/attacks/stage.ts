import { spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	lchownSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { writeNewDirectory } from "../../src/criu/store/new-directory.ts";
import { dump } from "../../src/dump/dump.ts";
import type { Task } from "../../src/forest/task.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { imagesFromTask } from "../../src/images/write/to-images.ts";
import type { Restored } from "../../src/restore/restore.ts";
import { coreFromImages } from "../support/lives/core-from-images.ts";
import { soon } from "../support/lives/living.ts";
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
	/** What was swapped or replaced is again what it was. */
	putBack(name: Target): void;
	/** The process, alive: its id. */
	live(): Promise<number>;
	/** An honest dump of it by root, which is its end: the directory. */
	dumped(): Promise<string>;
	/** The same images, of a process that has `r` for its root directory. */
	rooted(images: string): Promise<string>;
	/** The core that images hold, as the kernel would have written it; root's. With a lie in it, if one is wanted. */
	coreOf(images: string, lie?: (task: Task) => Task): Promise<string>;
	/** What of root's a process holds: by its descriptors, its mappings, its directories. */
	loot(pid: number): string[];
	/** It has what was opened, and nothing of root's. */
	expectOwn(attempt: Promise<Pick<Restored, "pid">>, target: Target): Promise<void>;
	/** Nothing of root's went anywhere: the attempt failed as `message` says, and root's files are as they were. */
	expectRefusal(attempt: Promise<Pick<Restored, "pid">>, message: RegExp): Promise<void>;
	/** Gives a file, or a directory with all that is in it, to somebody. */
	give(path: string, uid?: number): void;
	close(): void;
}

/** What can be swapped: an open file, a mapped file, the working directory, the root directory, the executable. */
export type Target = "log" | "data" | "d" | "r" | "prog";

const directories: readonly Target[] = ["d", "r"];

export function give(path: string, uid = UID): void {
	lchownSync(path, uid, uid);
	if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) give(join(path, name), uid);
}

/**
 * @param user Whose process it is. Another's than the attacker's has all of its files in the attacker's directory, open to
 *   everybody; what is secret is that user's then, or root's.
 */
export function openStage(user = UID): Stage {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-attack-"));
	chmodSync(directory, 0o755);
	const [mine, roots] = [join(directory, "u"), join(directory, "root")];
	const program = compile("victim");
	const open = user === UID ? 0 : 0o077;
	for (const [place, owner, word] of [
		[mine, UID, OWN],
		[roots, user === UID ? 0 : user, SECRET],
	] as const) {
		mkdirSync(place);
		for (const name of ["log", "data"]) writeFileSync(join(place, name), word);
		for (const name of directories) mkdirSync(join(place, name));
		copyFileSync(program, join(place, "prog"));
		for (const name of ["log", "data"]) chmodSync(join(place, name), 0o600 | (open & 0o066));
		for (const name of ["prog", ...directories]) chmodSync(join(place, name), 0o700 | (open & 0o055));
		for (const name of ["", "log", "data", "prog", ...directories]) chownSync(join(place, name), owner, owner);
	}
	chmodSync(mine, 0o755);
	chmodSync(roots, user === UID ? 0o755 : 0o700);
	const pids: number[] = [];
	const own = (name: Target): string => join(mine, name);
	let count = 0;
	const fresh = (name: string): string => join(directory, `${name}-${++count}`);
	const live = async (): Promise<number> => {
		const child = spawn(own("prog"), [mine], {
			...{ uid: user, gid: user, cwd: "/", env: { PWD: own("d") }, detached: true, stdio: "ignore" },
		});
		const { pid } = child;
		if (pid === undefined) throw new Error("the victim could not be started");
		pids.push(pid);
		// the last thing that it does
		expect(await soon(() => readlinkSync(`/proc/${pid}/cwd`) === own("d"))).toBe(true);
		return pid;
	};
	const loot = (pid: number): string[] => {
		const links = ["cwd", "root", "exe", ...readdirSync(`/proc/${pid}/fd`).map((number) => `fd/${number}`)];
		const files = links.map((link) => readlinkSync(`/proc/${pid}/${link}`));
		const maps = readFileSync(`/proc/${pid}/maps`, "latin1").split("\n");
		return [...files, ...maps].filter((text) => text.includes(roots));
	};
	return {
		loot,
		expectRefusal: async (attempt, message) => {
			const outcome = await attempt.then(
				({ pid }) => `it lives, and holds: ${loot(pid).join("; ")}`,
				(error: unknown) => String(error),
			);
			expect(outcome).toMatch(message);
			for (const name of ["log", "data"]) expect(readFileSync(join(roots, name), "utf8")).toBe(SECRET);
		},
		expectOwn: async (attempt, target) => {
			const { pid } = await attempt;
			expect(loot(pid)).toEqual([]);
			const [link] = { log: ["fd/3"], d: ["cwd"], r: ["root"], prog: ["exe"], data: [] }[target];
			const has =
				link === undefined ? readFileSync(`/proc/${pid}/maps`, "latin1") : readlinkSync(`/proc/${pid}/${link}`);
			// by the name that it has now
			expect(has).toContain(`${own(target)}.away`);
			for (const name of ["log", "data"]) expect(readFileSync(join(roots, name), "utf8")).toBe(SECRET);
		},
		directory,
		own,
		swap: (name) => {
			renameSync(own(name), `${own(name)}.away`);
			symlinkSync(join(roots, name), own(name));
			lchownSync(own(name), UID, UID);
		},
		putBack: (name) => {
			rmSync(own(name), { recursive: true, force: true });
			renameSync(`${own(name)}.away`, own(name));
		},
		replace: (name) => {
			renameSync(own(name), `${own(name)}.away`);
			if (directories.includes(name)) mkdirSync(own(name), { mode: 0o700 });
			else copyFileSync(`${own(name)}.away`, own(name));
			chmodSync(own(name), directories.includes(name) || name === "prog" ? 0o700 : 0o600);
			chownSync(own(name), UID, UID);
		},
		live,
		dumped: async () => {
			const images = fresh("images");
			await dump(await live(), { images, afterwards: "end", pages: true, missing: "error" });
			return images;
		},
		rooted: async (images) => {
			const path = fresh("rooted");
			const dir = openImageDir(images);
			try {
				const task = taskFromImages(dir);
				const files = { ...task.files, root: own("r") };
				const { draft } = imagesFromTask({ ...task, files }, { pages: true, lost: new Map() });
				await writeNewDirectory(draft, undefined, path);
			} finally {
				dir.close();
			}
			return path;
		},
		coreOf: async (images, lie) => {
			const path = fresh("core");
			await coreFromImages(images, path, lie);
			return path;
		},
		give,
		close: () => {
			for (const pid of pids) if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
			rmSync(directory, { recursive: true, force: true });
		},
	};
}
