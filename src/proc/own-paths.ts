/** `/proc/4711/maps`, and the directory itself: whose it is, and what of it. */
export function ownerInProc(path: string): { readonly pid: number; readonly rest: string } | undefined {
	const [, pid, rest = ""] = /^\/proc\/(\d+)(\/.*)?$/s.exec(path) ?? [];
	return pid === undefined ? undefined : { pid: Number(pid), rest };
}

/**
 * What a process finds about itself has another name when it has another id. `undefined` for all other paths, also for those
 * that lead through one of the links there (proc(5): cwd, exe, fd/N …) or back out.
 */
export function ownProcPath(path: string, pid: number): string | undefined {
	const owner = ownerInProc(path);
	if (owner?.pid !== pid || LEADS_ELSEWHERE.test(owner.rest)) return undefined;
	// its first thread has its id, and opens its files
	const [, tid, rest = ""] = /^\/task\/(\d+)(\/.*)?$/s.exec(owner.rest) ?? [];
	return Number(tid) === pid ? `/proc/thread-self${rest}` : `/proc/self${owner.rest}`;
}

const LEADS_ELSEWHERE = /\/(\.\.|root|cwd|exe)(\/|$)|\/(fd|map_files|ns)\/./;

/** Whose file in /proc it is, of others that come along; `undefined` for all other paths, and for those of single threads. */
export function otherInProc(path: string, pid: number, together: ReadonlySet<number>): number | undefined {
	const owner = ownerInProc(path)?.pid;
	if (owner === undefined || owner === pid || !together.has(owner)) return undefined;
	const own = ownProcPath(path, owner);
	return own === undefined || isOfThread(own) ? undefined : owner;
}

/** Of a path as {@link ownProcPath} gives it: whether it is about a thread that is not the first. */
export const isOfThread = (own: string): boolean => own.startsWith("/proc/self/task/");

/** The same, also where it is called by the name under which it finds itself: procfs asks who opens, and nobody else can. */
export const ownName = (path: string, pid: number): string | undefined =>
	ownProcPath(path, pid) ??
	(/^\/proc\/(thread-)?self(\/|$)/.test(path) && !LEADS_ELSEWHERE.test(path) ? path : undefined);
