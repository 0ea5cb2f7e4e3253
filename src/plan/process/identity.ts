import { bytesFromText } from "../../bytes/text.ts";
import { refuse } from "../../errors.ts";
import { caution } from "../../finding.ts";
import type { Task } from "../../forest/task.ts";
import { CAP } from "../../linux/credentials.ts";
import { EACCES } from "../../linux/errno.ts";
import { AT_FDCWD, F } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { PR } from "../../linux/prctl.ts";
import { type LimitName, limitNumber, rlimit64 } from "../../linux/resource.ts";
import { SIG_SETMASK, SIGKILL, SIGSET_BYTES } from "../../linux/signal.ts";
import { REPORT_FD } from "../../program/abi.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { hasCapability } from "../host-rights.ts";
import type { ListDraft, Part } from "../part.ts";
import type { Kin } from "./kinship.ts";
import { CALLERS_SESSION } from "./standings.ts";

/**
 * What the carrier is before it becomes anything: deaf to signals, bound to the restorer's life, in a session of its own, and
 * with its report socket above all numbers that the process will use.
 *
 * A session of its own even where the process had another's: a stopped process that is left alone in the restorer's would be
 * hung up on as an orphan (SIGHUP, SIGCONT) when the restorer ends.
 */
export function planIdentity({ identity }: Task, context: Context): Part {
	const { pid, sid, pgid } = identity;
	const { draft, reportTarget, firstWorkFd, ids } = context;
	const leader = draft.leader;
	ids.introduce(leader, "identity", pid);
	const all = new Uint8Array(Number(SIGSET_BYTES)).fill(0xff);
	leader.add(
		"identity",
		"rt_sigprocmask",
		[SIG_SETMASK, bytesDatum("all signals", all), 0n, SIGSET_BYTES],
		"no signal before it is complete",
	);
	leader.add("identity", "prctl", [BigInt(PR.SET_PDEATHSIG), BigInt(SIGKILL), 0n, 0n, 0n], "dies with the restorer");
	const { joinsCaller = false } = context;
	if (joinsCaller) leader.add("identity", "setpgid", [0n, 0n], "a job of ours: leads its process group");
	else
		leader.add("identity", "setsid", [], sid === pid ? "leads its session" : "a session of its own", {
			...ids.returned(pid),
		});
	const lost = [sid === pid ? "" : `session ${sid}`, pgid === pid ? "" : `process group ${pgid}`].filter(Boolean);
	if (joinsCaller) draft.report(caution("session", `process ${pid}`, joined(identity)));
	else if (lost.length > 0)
		draft.report(
			caution("session", `process ${pid}`, `was in ${lost.join(" and ")}; now it leads its own, without a terminal`),
		);
	addSelf(leader, identity);
	raiseLimits(leader, context);
	leader.add(
		"identity",
		"fcntl",
		[BigInt(REPORT_FD), BigInt(F.DUPFD_CLOEXEC), BigInt(firstWorkFd)],
		"the socket that failures are told to, out of the way",
		{ expect: { exactly: BigInt(firstWorkFd) }, save: reportTarget },
	);
	return context.draft.made();
}

const joined = ({ pid, sid }: Task["identity"]): string =>
	`${sid === pid ? "led its session" : `was in session ${sid}`}; now it is a job of yours, in your session (--shell-job)`;

/** The same of a process that another of the plan makes: what that one has done is done for it too. */
export function planBirth({ identity }: Task, { draft }: Context, { sid, pgid }: Pick<Kin, "sid" | "pgid">): Part {
	const leader = draft.leader;
	const lost = [
		identity.sid === sid || sid === CALLERS_SESSION ? "" : `session ${identity.sid}`,
		identity.pgid === pgid ? "" : `process group ${identity.pgid}`,
	].filter(Boolean);
	if (lost.length > 0)
		draft.report(
			caution(
				"session",
				`process ${identity.pid}`,
				`was in ${lost.join(" and ")}, as the first process; now it is in its`,
			),
		);
	addDying(leader);
	addSelf(leader, identity);
	return draft.made();
}

/** Of one that does not live on. */
export function planDying({ draft }: Context): Part {
	addDying(draft.leader);
	return draft.made();
}

const addDying = (list: ListDraft): void =>
	list.add("identity", "prctl", [BigInt(PR.SET_PDEATHSIG), BigInt(SIGKILL), 0n, 0n, 0n], "dies with its parent");

/** What none inherits but by its own doing. */
function addSelf(leader: ListDraft, { oomScoreAdjust, childSubreaper }: Task["identity"]): void {
	if (childSubreaper === true)
		leader.add("identity", "prctl", [BigInt(PR.SET_CHILD_SUBREAPER), 1n, 0n, 0n, 0n], "adopts orphans among its own");
	if (oomScoreAdjust !== undefined) adjustOomScore(leader, oomScoreAdjust);
}

/** How soon it is sacrificed when memory runs out. Less than the restorer's own takes CAP_SYS_RESOURCE. */
function adjustOomScore(leader: ListDraft, value: number): void {
	if (value < -1000 || value > 1000)
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: "oom_score_adj",
			finding: `is ${value}`,
			expectation: "expected -1000 to 1000",
		});
	const text = bytesFromText(`${value}`);
	const file = cellDatum("descriptor of oom_score_adj");
	const fd = { valueOf: file };
	const path = pathDatum("path of oom_score_adj", "/proc/self/oom_score_adj");
	const why = "how soon memory is taken from it";
	leader.add("identity", "openat", [AT_FDCWD, path, BigInt(O.WRONLY | O.CLOEXEC)], why, { save: file });
	leader.add("identity", "write", [fd, bytesDatum("oom_score_adj", text), BigInt(text.length)], why, {
		expect: { successOr: EACCES },
	});
	leader.add("identity", "close", [fd], "its score is set");
}

/** Limits that a restorer can run into while it makes a process. They become the process's own at the end. */
const inTheWay: readonly LimitName[] = ["FSIZE", "DATA", "NPROC", "NOFILE", "MEMLOCK", "AS", "SIGPENDING"];

/** Descriptors that are open for a moment beside those of the process. */
export const WORK_FDS = 1024n;

function raiseLimits(leader: ListDraft, { facts, firstSpareFd }: Context): void {
	for (const name of inTheWay) {
		const limit = facts.limits[limitNumber(name)];
		if (limit === undefined) continue;
		const least = name === "NOFILE" ? BigInt(firstSpareFd) + WORK_FDS : 0n;
		// without the capability what there is must do: most processes have few descriptors
		const hard = limit.hard > least || !hasCapability(facts, CAP.SYS_RESOURCE, "system") ? limit.hard : least;
		if (limit.soft === hard) continue;
		const room = bytesDatum(`working limit ${name}`, rlimit64.encode({ rlim_cur: hard, rlim_max: hard }));
		leader.add("identity", "prlimit64", [0n, BigInt(limitNumber(name)), room, 0n], `room to work: ${name}`);
	}
}
