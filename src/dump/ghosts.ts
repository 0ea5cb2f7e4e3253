import type { BigIntStats } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import { refuse } from "../errors.ts";
import type { GhostFile } from "../forest/task.ts";
import { type Link, pathOfLink } from "../proc/links.ts";
import { lookAt, modeAndOwner } from "./looks.ts";
import { contentsOfFile, openProcFile, type ProcFile } from "./proc-file.ts";

/** Unlinked files of processes, each once: mappings and fds of one inode share it. */
export interface LiveGhosts {
	/**
	 * The id of the file that a link of a process leads to, and that was called `path`; `undefined` where the link may not be
	 * followed, or leads to no regular file, nor to a directory that was deleted.
	 *
	 * @param shown Whether writes through it reach the file (a shared mapping or an fd).
	 */
	readonly of: (pid: number, link: Link, path: string, shown: boolean) => number | undefined;
	/** Those that others can still reach by another hard link: who has it, and its former name. */
	readonly linked: () => readonly { readonly pid: number; readonly path: string }[];
	/** All that were asked for, with references to their bytes. @throws NecromancerError ERR_IO */
	readonly collect: (agent: Agent) => Promise<readonly GhostFile[]>;
	/** Closes the files that contents refer to. */
	readonly close: () => void;
}

interface Nameless {
	readonly id: number;
	readonly pid: number;
	readonly link: string;
	readonly path: string;
	readonly look: BigIntStats;
	linked: boolean;
}

export function ghostTable(): LiveGhosts {
	const ghosts = new Map<string, Nameless>();
	const opened: ProcFile[] = [];
	return {
		of: (pid, name, path, shown) => {
			const link = pathOfLink(pid, name);
			const look = lookAt(link);
			if (look === undefined || !(look.isFile() || isDeletedDirectory(look))) return undefined;
			const key = `${look.dev} ${look.ino}`;
			const known = ghosts.get(key) ?? { id: ghosts.size + 1, pid, link, path, look, linked: false };
			ghosts.set(key, known);
			if (shown && look.nlink > 0n) known.linked = true;
			return known.id;
		},
		linked: () => [...ghosts.values()].filter(({ linked }) => linked),
		collect: async (agent) => {
			const found: GhostFile[] = [];
			for (const { id, path, link, look } of ghosts.values()) {
				if (look.isDirectory()) {
					found.push({ ...{ id, path, size: 0n, contents: [] }, ...looksOf(look) });
					continue;
				}
				const file = openProcFile(link) ?? refuseUnread(path, link);
				opened.push(file);
				const { stat } = file;
				found.push({
					...{ id, path, size: stat.size, ...looksOf(stat) },
					contents: await contentsOfFile(agent, file),
				});
			}
			return found;
		},
		close: () => {
			for (const { source } of opened.splice(0)) source.close();
		},
	};
}

const looksOf = (stat: BigIntStats) => ({
	...{ ...modeAndOwner(stat), accessed: stat.atimeNs, modified: stat.mtimeNs },
});

/** Not one that only another file system hides, or that the kernel shows no more, such as /proc/PID of an ended process. */
export const isDeletedDirectory = (look: BigIntStats): boolean => look.isDirectory() && look.nlink === 0n;

const refuseUnread = (path: string, link: string): never =>
	refuse("ERR_IO", {
		subject: `${path}, deleted`,
		finding: `cannot be read by way of ${link}`,
		remedy: "be root or have CAP_SYS_PTRACE",
	});
