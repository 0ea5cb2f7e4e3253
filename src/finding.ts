/**
 * Something a core could not tell, or that had to be decided for the user: what it is, and what it means for the process
 * that will live. Findings are never silent copies and never errors.
 */
export interface Finding {
	/** `note`: as it should be; `caution`: may differ from the dead process; `loss`: something of it is gone. */
	readonly weight: FindingWeight;
	/** Stable name, for scripts and tests. */
	readonly code: FindingCode;
	/** What it is about: a thread, a mapping, a file, a signal. */
	readonly subject: string;
	/** What was found or decided, and what follows from it. */
	readonly text: string;
}

export type FindingWeight = "note" | "caution" | "loss";

/** One table of codes; README lists them from here. */
export const findingCodes = {
	"files-from-donor": "open files, their offsets and flags are the donor's",
	"file-offset": "the offset of a writable file is the donor's",
	"queued-data": "a pipe or socket of the donor holds bytes the dead process never had",
	"handlers-from-donor": "signal handlers are the donor's, moved to the dead process's layout",
	"address-unmapped": "an address of the donor has no place in the dead process",
	"alternate-stack": "an alternate signal stack could not be placed",
	"thread-without-counterpart": "the donor has no thread like this one; it takes the leader's attributes",
	"donor-thread-dropped": "the donor has threads the dead process had not",
	"thread-state": "a thread's own records could not be confirmed in the core",
	rseq: "restartable sequences",
	"masks-lost": "signal masks are not in this core",
	"pending-lost": "pending signals cannot be put back",
	"fatal-signal": "what happens when the process goes on",
	"process-id": "the core does not say which process it was",
	pointers: "a stack or instruction pointer leads where no thread can go on",
	session: "session and process group",
	parent: "the process that made it",
	ids: "process and thread ids, and where they are kept",
	credentials: "user, groups and capabilities",
	limits: "a limit that cannot be given",
	scheduling: "priority and scheduling",
	dumpable: "whether it may be traced",
	confinement: "what kept the process from others, and no longer does",
	keyrings: "keys that the process could use",
	attribute: "something that few programs ever change is not as it was",
	"timers-from-donor": "timers are the donor's",
	timers: "a timer that waits otherwise than it did",
	clock: "the monotonic clock",
	"stack-guessed": "arguments and environment could not be found exactly",
	"brk-guessed": "the program break is the end of the heap mapping",
	"auxv-trimmed": "the auxiliary vector is longer than images can hold",
	registers: "a register that cannot be given as it was",
	xstate: "FPU and vector registers",
	protection: "the protection of a mapping is not in this core",
	"mapping-kind": "what kind of mapping it was is not in a core",
	advice: "advice about memory that is not given again",
	vdso: "the functions that the kernel lends to every process",
	"mapping-dropped": "a mapping cannot be brought back",
	"contents-lost": "bytes of a mapping are not in the core",
	"memory-of-several": "memory that several processes of a donor's tree have",
	"shared-contents": "a shared file mapping shows what the file holds now",
	executable: "what /proc/PID/exe leads to",
	"binary-differs": "a file on this host is not the one that was mapped",
	"binary-missing": "a file is not on this host",
	"file-unverified": "nothing tells whether a mapped file is still the one that was mapped",
	"files-linked": "the core names no mapped files; the dynamic linker's list does",
	"handler-left": "a signal handler was left, for the place that it had interrupted",
	"file-gone": "a mapped file was deleted; its bytes come from the core",
	"not-in-images": "CRIU's image format has no place for something of the process",
	replaced: "something comes back as a thing of another kind",
	"descriptor-dropped": "a descriptor was left out",
	pipe: "a pipe is not as it was",
	epoll: "what an epoll descriptor watches",
	inotify: "what an inotify descriptor watches, and events that nobody had read",
	fanotify: "what a fanotify group watches, and events that nobody had read",
	"file-owner": "whose a file is that was made again",
	"file-locks": "locks on files, and leases",
	"others-from-donor": "processes of a donor's tree that did not die",
	"incremental-donor": "the donor continues from a parent directory",
	"thread-deduced": "what a thread had told the kernel, as its libc's own records in the core prove it",
	"descriptor-deduced": "a descriptor that threads or event loops name gets a stand-in of its kind",
	"files-default": "descriptors that nothing names are closed, the standard ones are /dev/null",
	"handlers-default": "signal handlers are not in a core; every signal does its default",
	"core-limit": "whether it leaves a core when it dies again",
	"handlers-deduced": "signal handlers that are the same in every process of a libc",
	"runtime-handlers": "a language runtime that cannot live without its signal handlers",
	"names-lost": "names of threads are not in a core",
	"lost-at-dump": "what was lost when the images were made",
	lazy: "memory that stays in the file of the core",
	default: "what neither core nor donor tells is as for a new process",
} as const;

export type FindingCode = keyof typeof findingCodes;

/** What of a process a finding is about, in the words of a summary. */
export type Matter =
	| "memory"
	| "threads"
	| "program files"
	| "open files"
	| "signal handlers"
	| "timers"
	| "names of threads"
	| "limits and scheduling"
	| "rights"
	| "ids"
	| "other attributes";

/** What each code is about. */
const matters = {
	"files-from-donor": "open files",
	"file-offset": "open files",
	"queued-data": "open files",
	"handlers-from-donor": "signal handlers",
	"address-unmapped": "signal handlers",
	"alternate-stack": "signal handlers",
	"thread-without-counterpart": "threads",
	"donor-thread-dropped": "threads",
	"thread-state": "threads",
	rseq: "threads",
	"masks-lost": "threads",
	"pending-lost": "threads",
	"fatal-signal": "threads",
	"process-id": "ids",
	pointers: "threads",
	session: "ids",
	parent: "ids",
	ids: "ids",
	credentials: "rights",
	limits: "limits and scheduling",
	scheduling: "limits and scheduling",
	"core-limit": "limits and scheduling",
	dumpable: "rights",
	"timers-from-donor": "timers",
	timers: "timers",
	clock: "timers",
	"stack-guessed": "other attributes",
	"brk-guessed": "memory",
	"auxv-trimmed": "other attributes",
	registers: "threads",
	xstate: "threads",
	protection: "memory",
	"mapping-kind": "memory",
	advice: "memory",
	vdso: "memory",
	"mapping-dropped": "memory",
	"contents-lost": "memory",
	"memory-of-several": "memory",
	"shared-contents": "memory",
	executable: "program files",
	"binary-differs": "program files",
	"binary-missing": "program files",
	"file-unverified": "program files",
	"files-linked": "program files",
	"handler-left": "threads",
	"file-gone": "program files",
	"not-in-images": "other attributes",
	replaced: "open files",
	"descriptor-dropped": "open files",
	pipe: "open files",
	epoll: "open files",
	inotify: "open files",
	fanotify: "open files",
	"file-owner": "open files",
	"file-locks": "open files",
	"others-from-donor": "other attributes",
	"incremental-donor": "memory",
	"thread-deduced": "threads",
	"descriptor-deduced": "open files",
	"files-default": "open files",
	"handlers-default": "signal handlers",
	"handlers-deduced": "signal handlers",
	"runtime-handlers": "signal handlers",
	"names-lost": "names of threads",
	"lost-at-dump": "other attributes",
	lazy: "memory",
	confinement: "rights",
	keyrings: "rights",
	attribute: "other attributes",
	default: "other attributes",
} satisfies Readonly<Record<FindingCode, Matter>>;

/** What the losses among findings are about, each once, in the order of {@link findingCodes}' matters. */
export const lostMatters = (findings: readonly Finding[]): readonly Matter[] => {
	const lost = new Set(findings.flatMap(({ weight, code }) => (weight === "loss" ? [matters[code]] : [])));
	return [...new Set<Matter>(Object.values(matters))].filter((matter) => lost.has(matter));
};

export const note = (code: FindingCode, subject: string, text: string): Finding => ({
	weight: "note",
	code,
	subject,
	text,
});
export const caution = (code: FindingCode, subject: string, text: string): Finding => ({
	weight: "caution",
	code,
	subject,
	text,
});
export const loss = (code: FindingCode, subject: string, text: string): Finding => ({
	weight: "loss",
	code,
	subject,
	text,
});

/** What `who` had lost when its images were made, said again when they are used. */
export const lostAtDump = (who: string, subject: string, text: string): Finding =>
	loss("lost-at-dump", subject, `${who} lost it at its dump: ${text}`);

/** The same of one of several processes: whose the subject is. */
export const ofProcess = (finding: Finding, pid: number): Finding =>
	finding.subject === `process ${pid}` ? finding : { ...finding, subject: `${finding.subject} of process ${pid}` };
