/** `/proc/4711/maps`, and the directory itself: whose it is, and what of it. */
export function ownerInProc(path: string): { readonly pid: number; readonly rest: string } | undefined {
	const [, pid, rest = ""] = /^\/proc\/(\d+)(\/.*)?$/s.exec(path) ?? [];
	return pid === undefined ? undefined : { pid: Number(pid), rest };
}

/** What a process finds about itself has another name when it has another id. */
export function ownProcPath(path: string, pid: number): string | undefined {
	const owner = ownerInProc(path);
	if (owner?.pid !== pid) return undefined;
	// its first thread has its id, and opens its files
	const [, tid, rest = ""] = /^\/task\/(\d+)(\/.*)?$/s.exec(owner.rest) ?? [];
	return Number(tid) === pid ? `/proc/thread-self${rest}` : `/proc/self${owner.rest}`;
}
