import { userRegs } from "../../arch/x86-64/registers.ts";
import { address } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { xstateFromEntry } from "../../criu/fpregs.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { ACTION_SIGNALS } from "../../criu/vma.ts";
import type {
	CoreEntry,
	CredsEntry,
	PstreeEntry,
	TaskCoreEntry,
	ThreadCoreEntry,
} from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import type { Credentials, IntervalTimer, PosixTimer, SignalAction, Task, Thread } from "../../forest/task.ts";
import { SS_DISABLE } from "../../linux/signal.ts";
import { clocksFromImages } from "./clocks.ts";
import { fileEntries, filesFromImages } from "./files.ts";
import { ghostsOf } from "./ghosts.ts";
import { memoryFromImages } from "./memory.ts";
import { objectsOf } from "./objects.ts";
import { type SideRecord, sideRecordOf, unlessEmpty } from "./side-record.ts";
import { treeOf } from "./tree.ts";

/** The processes of an image directory, parents before children. */
export const processesOf = (dir: ImageDir): readonly { readonly pid: number; readonly comm: string }[] =>
	treeOf(dir).map(({ pid }) => ({ pid, comm: dir.one(`core-${pid}.img`, "core").tc?.comm ?? "?" }));

/**
 * One process of an image directory as a {@link Task}.
 *
 * @param pid which; may be left out where there is only one.
 * @throws NecromancerError ERR_DONOR_AMBIGUOUS, and whatever is wrong with the images.
 */
export function taskFromImages(dir: ImageDir, pid?: number): Task {
	const processes = treeOf(dir);
	const entry =
		pid === undefined && processes.length === 1 ? processes[0] : processes.find((process) => process.pid === pid);
	if (entry === undefined)
		return refuse(pid === undefined ? "ERR_DONOR_AMBIGUOUS" : "ERR_IMAGE_MISSING", {
			subject: `${dir.path}/pstree.img`,
			finding:
				pid === undefined
					? `holds ${processes.length} processes (${processes.map((p) => p.pid).join(", ")})`
					: `has no process ${pid}`,
			expectation: pid === undefined ? "expected one" : `only ${processes.map((p) => p.pid).join(", ")}`,
			remedy: "choose one with --donor-pid",
		});
	const cores = entry.threads.map((tid) => ({
		tid,
		name: `core-${tid}.img`,
		core: dir.one(`core-${tid}.img`, "core"),
	}));
	const leader = cores[0];
	const tc = leader?.core.tc;
	if (leader === undefined || tc === undefined || leader.core.thread_info === undefined)
		return refuse("ERR_IMAGE_CORRUPT", {
			subject: `${dir.path}/core-${entry.pid}.img`,
			finding: leader === undefined || tc === undefined ? "has no task_core_entry" : "describes a zombie",
			expectation: "expected a living process",
			remedy: "dump the donor while it runs",
		});
	const mm = dir.one(`mm-${entry.pid}.img`, "mm");
	const objects = objectsOf(dir);
	const ghosts = ghostsOf(dir, fileEntries(dir));
	const beside = sideRecordOf(dir, entry.pid);
	const shared = { objects, ghosts, beside };
	const membarrier = tc.membarrier_registration_mask ?? 0;
	const memory = memoryFromImages(dir, entry.pid, mm, shared);
	const files = filesFromImages(dir, entry.pid, shared);
	return {
		identity: identityFrom(entry, tc),
		threads: cores.map(({ tid, core, name }) => threadFrom(tid, core, tc, beside, `${dir.path}/${name}`)),
		memory: { ...memory, objects: objects.list(), ...(ghosts.list().length === 0 ? {} : { ghosts: ghosts.list() }) },
		signalActions: actionsFrom(tc),
		intervalTimers: {
			real: intervalTimer(tc.timers?.real),
			virtual: intervalTimer(tc.timers?.virt),
			profiling: intervalTimer(tc.timers?.prof),
		},
		posixTimers: (tc.timers?.posix ?? []).map(posixTimer),
		limits: (tc.rlimits?.rlimits ?? []).map(({ cur, max }) => ({ soft: cur, hard: max })),
		pending: (tc.signals_s?.signals ?? []).map(({ siginfo }) => siginfo),
		files,
		stopped: tc.task_state === 3,
		...(beside.losses.length === 0 ? {} : { losses: beside.losses }),
		...unlessEmpty({ ...beside.process, ...(membarrier === 0 ? {} : { membarrier: BigInt(membarrier) }) }),
		...clocksFromImages(dir),
	};
}

const identityFrom = ({ pid, ppid, pgid, sid }: PstreeEntry, tc: TaskCoreEntry): Task["identity"] => ({
	...{ pid, ppid, pgid, sid, comm: tc.comm },
	...defined({ oomScoreAdjust: tc.oom_score_adj, childSubreaper: tc.child_subreaper }),
});

const X86_64 = 1;

function threadFrom(tid: number, core: CoreEntry, tc: TaskCoreEntry, beside: SideRecord, subject: string): Thread {
	const { thread_info: info, thread_core: attributes } = core;
	if (core.mtype !== X86_64)
		return refuse("ERR_DONOR_MISMATCH", {
			subject,
			finding: `is of machine type ${core.mtype}`,
			expectation: "expected 1 (x86-64)",
		});
	if (info === undefined || attributes === undefined || attributes.creds === undefined)
		return refuse("ERR_IMAGE_CORRUPT", {
			subject,
			finding: "lacks registers, attributes or credentials",
			expectation: "expected a living thread",
		});
	const { sas } = attributes;
	const rseq = attributes.rseq_entry;
	const { personality = BigInt(tc.personality), ...own } = beside.thread(tid);
	return {
		tid,
		name: attributes.comm ?? tc.comm,
		registers: userRegs.decode(userRegs.encode(info.gpregs)),
		xstate: xstateFromEntry(info.fpregs),
		// the leader's mask stands in the task part (criu-facts B.2)
		blocked: core.tc?.blk_sigset ?? attributes.blk_sigset ?? 0n,
		pending: (attributes.signals_p?.signals ?? []).map(({ siginfo }) => siginfo),
		scheduling: schedulingFrom(attributes),
		parentDeathSignal: attributes.pdeath_sig ?? 0,
		credentials: credentialsFrom(attributes.creds),
		seccomp: (["none", "strict", "filter"] as const)[attributes.seccomp_mode ?? 0] ?? "none",
		...unlessEmpty({ ...own, ...(personality === 0n ? {} : { personality }) }),
		...(info.clear_tid_addr === 0n ? {} : { clearTid: address(info.clear_tid_addr) }),
		...(attributes.futex_rla_len === 0 || attributes.futex_rla === 0n
			? {}
			: { robustList: address(attributes.futex_rla) }),
		...(sas === undefined || (sas.ss_flags & SS_DISABLE) !== 0
			? {}
			: { alternateStack: { base: address(sas.ss_sp), size: sas.ss_size, flags: sas.ss_flags } }),
		...(rseq === undefined || rseq.rseq_abi_pointer === 0n
			? {}
			: { rseq: { area: address(rseq.rseq_abi_pointer), size: rseq.rseq_abi_size, signature: rseq.signature } }),
	};
}

const schedulingFrom = (attributes: ThreadCoreEntry): Thread["scheduling"] => ({
	nice: attributes.sched_nice ?? 0,
	policy: attributes.sched_policy ?? 0,
	priority: attributes.sched_prio ?? 0,
});

const capabilities = (words: readonly number[]): bigint => BigInt(words[0] ?? 0) | (BigInt(words[1] ?? 0) << 32n);

const credentialsFrom = (creds: CredsEntry): Credentials => ({
	uid: creds.uid,
	gid: creds.gid,
	euid: creds.euid,
	egid: creds.egid,
	suid: creds.suid,
	sgid: creds.sgid,
	fsuid: creds.fsuid,
	fsgid: creds.fsgid,
	groups: creds.groups,
	inheritable: capabilities(creds.cap_inh),
	permitted: capabilities(creds.cap_prm),
	effective: capabilities(creds.cap_eff),
	bounding: capabilities(creds.cap_bnd),
	ambient: capabilities(creds.cap_amb),
	securebits: creds.secbits,
	noNewPrivileges: (creds.no_new_privs ?? 0) !== 0,
});

const actionsFrom = (tc: TaskCoreEntry): SignalAction[] =>
	tc.sigactions.slice(0, ACTION_SIGNALS.length).map((action, i) => ({
		signal: ACTION_SIGNALS[i] ?? 0,
		handler: address(action.sigaction),
		flags: action.flags,
		restorer: address(action.restorer),
		mask: action.mask,
	}));

type TimersEntry = NonNullable<TaskCoreEntry["timers"]>;

const intervalTimer = (timer: TimersEntry["real"] | undefined): IntervalTimer => ({
	remaining: timer === undefined ? 0n : timer.vsec * 1_000_000n + timer.vusec,
	interval: timer === undefined ? 0n : timer.isec * 1_000_000n + timer.iusec,
});

const posixTimer = (timer: TimersEntry["posix"][number]): PosixTimer => ({
	id: timer.it_id,
	// clocks of processor time have negative numbers, and CRIU's field has none
	clock: timer.clock_id | 0,
	signal: timer.si_signo,
	notify: timer.it_sigev_notify,
	value: timer.sival_ptr,
	remaining: timer.vsec * 1_000_000_000n + timer.vnsec,
	interval: timer.isec * 1_000_000_000n + timer.insec,
	overrun: timer.overrun,
	...defined({ thread: timer.notify_thread_id }),
});
