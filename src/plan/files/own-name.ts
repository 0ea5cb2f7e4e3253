import { ownProcPath } from "../../proc/own-paths.ts";

/**
 * The name by which a process finds a file about itself in /proc, which nobody else can open for it: procfs asks who opens.
 * `undefined` for all other paths, also for those that lead through one of its links (proc(5): cwd, exe, fd/N …) or back out.
 */
export function ownName(path: string, pid: number): string | undefined {
	const own = ownProcPath(path, pid) ?? (/^\/proc\/(thread-)?self(\/|$)/.test(path) ? path : undefined);
	return own === undefined || LEADS_ELSEWHERE.test(own) ? undefined : own;
}

const LEADS_ELSEWHERE = /\/(\.\.|root|cwd|exe)(\/|$)|\/(fd|map_files|ns)\/./;
