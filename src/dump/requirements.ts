import { defined } from "../bytes/defined.ts";
import { NecromancerError, refuse } from "../errors.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readLink } from "../proc/links.ts";
import { type Namespace, readNamespace } from "../proc/namespaces.ts";
import { type ProcStat, readStat } from "../proc/stat.ts";
import { type ProcStatus, readStatus } from "../proc/status.ts";
import { threadsOf } from "../proc/tasks.ts";
import { refuseTraced } from "../trace/seize-all.ts";

/** A process that can be dumped, as far as can be seen while it runs. */
export interface DumpCandidate {
	readonly pid: number;
	readonly stat: ProcStat;
	readonly status: ProcStatus;
}

/**
 * Checks a process before it is stopped, so that one that cannot be dumped is never disturbed.
 *
 * @throws NecromancerError ERR_PROCESS for what is no process to be dumped, ERR_UNSUPPORTED for what cannot be dumped yet,
 *   ERR_HOST where we may not.
 */
export function requireCandidate(pid: number): DumpCandidate {
	const status = readStatus(pid);
	const no = (finding: string, expectation: string, remedy?: string): never =>
		refuse("ERR_PROCESS", {
			subject: `process ${pid}`,
			finding,
			expectation,
			...defined({ remedy }),
		});
	if (status.tgid !== pid)
		no(`is a thread of process ${status.tgid}`, "expected a process", `name ${status.tgid} instead`);
	if (pid === process.pid) no("is this very program", "expected another");
	if (status.state === "Z" && threadsOf(pid).length > 1)
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${pid}`,
			finding: "goes on although its first thread has ended",
			expectation: "which this version cannot dump",
		});
	if (status.state === "Z" || status.state === "X")
		no("is dead but not yet reaped by its parent", "expected a living process");
	if (status.kernelThread) no("is a thread of the kernel", "expected a program");
	requireAccess(pid, status);
	if (status.tracer !== 0) refuseTraced(pid, status.tracer);
	requireNamespaces(pid);
	requireNoSeccomp(pid);
	return { pid, stat: readStat(pid), status };
}

/**
 * Checks it again once it is stopped, before calls are injected: it may have installed a seccomp filter meanwhile, which may
 * kill it for them.
 *
 * @throws NecromancerError ERR_PROCESS where another process has got its id meanwhile; ERR_UNSUPPORTED.
 */
export function requireSame({ pid, stat }: DumpCandidate): void {
	if (readStat(pid).startTime !== stat.startTime)
		refuse("ERR_PROCESS", {
			subject: `process ${pid}`,
			finding: "ended, and another has its id",
			expectation: "expected it to live",
		});
	requireNamespaces(pid);
	requireNoSeccomp(pid);
}

/**
 * Replaces an error by "the process was killed" when that is its cause.
 *
 * @throws NecromancerError ERR_PROCESS
 */
export function requireAlive(pid: number, cause: unknown): void {
	if (!hasEnded(pid)) return;
	refuse(
		"ERR_PROCESS",
		{ subject: `process ${pid}`, finding: "ended while it was dumped", expectation: "expected it to live" },
		{ cause },
	);
}

/** Whether nothing is left of a process but how it ended, or nothing at all. */
export function hasEnded(pid: number): boolean {
	const state = ifShown(() => readStatus(pid))?.state;
	return state === undefined || state === "X" || (state === "Z" && (ifShown(() => threadsOf(pid)) ?? []).length <= 1);
}

/** Refuses a process that we may not trace: the kernel uses the same check for its links in /proc. */
function requireAccess(pid: number, { uids: [uid] }: ProcStatus): void {
	try {
		readLink(pid, "exe");
	} catch (error) {
		// one without an executable has none to show
		if (!(error instanceof NecromancerError) || error.code !== "ERR_HOST") return;
		const ours = process.geteuid?.();
		refuse("ERR_HOST", {
			subject: `process ${pid}`,
			finding: uid === ours ? "may not be traced by us" : `belongs to user ${uid}, and we are ${ours}`,
			expectation: "expected to be allowed to trace it",
			remedy: "be root or have CAP_SYS_PTRACE",
		});
	}
}

/** Namespaces that change what paths and ids mean. Not "time": the parasite reads the process's clocks. */
const decisive = ["pid", "mnt", "user"] as const;

function requireNamespaces(pid: number): void {
	const linkOf = (whose: number | "self", name: Namespace): string | undefined =>
		ifShown(() => readNamespace(whose, name));
	const foreign = decisive.filter((name) => linkOf(pid, name) !== linkOf("self", name));
	if (foreign.length === 0) return;
	refuse("ERR_UNSUPPORTED", {
		subject: `process ${pid}`,
		finding: `is in other namespaces than we are (${foreign.join(", ")})`,
		expectation: "expected the same: names and ids mean something else there",
		remedy: `run us there: nsenter -t ${pid} -a necromancer dump ...`,
	});
}

function requireNoSeccomp(pid: number): void {
	for (const tid of threadsOf(pid)) {
		// while it still runs, a thread may have ended since it was listed
		const seccomp = ifShown(() => readStatus({ pid, tid }))?.seccomp ?? 0;
		if (seccomp === 0) continue;
		refuse("ERR_UNSUPPORTED", {
			subject: `thread ${tid}`,
			finding: seccomp === 1 ? "runs in seccomp's strict mode" : "runs under seccomp filters",
			expectation: "expected neither: they cannot be dumped yet",
			remedy: "start it without its sandbox",
		});
	}
}
