import { u64Bytes } from "../../bytes/layout.ts";
import { bytesFromText } from "../../bytes/text.ts";
import { caution } from "../../finding.ts";
import { EAGAIN } from "../../linux/errno.ts";
import { PR } from "../../linux/prctl.ts";
import { limitNumber, rlimit64 } from "../../linux/resource.ts";
import {
	kernelSigaction,
	SIG_SETMASK,
	SIGCHLD,
	SIGKILL,
	SIGSET_BYTES,
	signalBit,
	signalName,
} from "../../linux/signal.ts";
import { timespec } from "../../linux/time.ts";
import { CORE_DUMPED, P_PID, WAIT, WAIT_STATUS, waitStatus } from "../../linux/wait.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import type { Stage } from "../plan.ts";
import type { Kin } from "./kinship.ts";

/*
 * Processes that do not live: zombies, with the status that they had, and those that stand in for leaders that are gone.
 */

/** What is done of a signal by default. */
const byDefault = () =>
	bytesDatum("the default", kernelSigaction.encode({ sa_handler: 0n, sa_flags: 0n, sa_restorer: 0n, sa_mask: 0n }));

/** Whoever ignores SIGCHLD has no zombies (wait(2)): a restorer may have been told to. */
export function expectEnds({ ended }: Kin, list: ListDraft): void {
	if (ended.length === 0) return;
	const args = [BigInt(SIGCHLD), byDefault(), 0n, SIGSET_BYTES] as const;
	list.add("children", "rt_sigaction", args, "children that end are kept");
}

/** Waits until they have ended. Nothing of that is left but the zombies: no stand-in, no signal that tells of an end. */
export function addReaping(stage: Stage, { ended }: Kin, list: ListDraft): void {
	for (const { pid, fate } of ended)
		if (fate.kind === "zombie")
			list.add(
				stage,
				"waitid",
				[P_PID, BigInt(pid), 0n, BigInt(WAIT.EXITED | WAIT.NOWAIT | WAIT.ALL), 0n],
				`until process ${pid} has ended, which stays as it is`,
			);
		else
			list.add(stage, "wait4", [BigInt(pid), 0n, BigInt(WAIT.ALL), 0n], `who stood in for process ${pid} is gone`, {
				expect: { exactly: BigInt(pid) },
			});
	if (ended.length === 0) return;
	const now = bytesDatum("at once", timespec.encode({ tv_sec: 0n, tv_nsec: 0n }));
	// it was told of them when they ended
	list.add(
		stage,
		"rt_sigtimedwait",
		[bytesDatum("SIGCHLD", u64Bytes(signalBit(SIGCHLD))), 0n, now, SIGSET_BYTES],
		"hears nothing of that",
		{
			expect: { successOr: EAGAIN },
		},
	);
}

/**
 * How it ends, when all are in its group that are to be in it.
 *
 * @param joined the words in which they say so.
 */
export function planEnd({ pid, fate, outlasts }: Kin, { draft }: Context, joined: ReadonlyMap<number, Place>): Part {
	const list = draft.leader;
	for (const member of outlasts) {
		const word = joined.get(member);
		if (word !== undefined)
			list.add("children", "await", [word, BigInt(member)], `until process ${member} is in its group`);
	}
	if (fate.kind === "lives") return draft.made();
	if (fate.kind === "stand-in") {
		list.add("children", "exit_group", [0n], "stood in for somebody");
		return draft.made();
	}
	const { status, comm } = fate;
	const name = bytesDatum(`name of process ${pid}`, bytesFromText(`${comm}\0`));
	list.add("children", "prctl", [BigInt(PR.SET_NAME), name, 0n, 0n, 0n], "its name");
	const end = waitStatus(status & WAIT_STATUS);
	if (end.kind === "killed") {
		if ((status & CORE_DUMPED) !== 0)
			draft.report(
				caution("parent", `process ${pid}`, "is dead, and had left a core: its parent hears only of the signal"),
			);
		addKilling(list, pid, end.signal);
	}
	const code = end.kind === "exited" ? end.status : FAILED;
	list.add("children", "exit_group", [BigInt(code)], "its exit status");
	return draft.made();
}

/** Of whom no signal kills. */
const FAILED = 111;

/** By the signal that had killed it, without a core. */
function addKilling(list: ListDraft, pid: number, signal: number): void {
	const none = bytesDatum("no core", rlimit64.encode({ rlim_cur: 0n, rlim_max: 0n }));
	list.add("children", "prlimit64", [0n, BigInt(limitNumber("CORE")), none, 0n], "leaves no core");
	if (signal !== SIGKILL)
		list.add("children", "rt_sigaction", [BigInt(signal), byDefault(), 0n, SIGSET_BYTES], "what kills it");
	const nothing = bytesDatum("no signal", new Uint8Array(Number(SIGSET_BYTES)));
	list.add("children", "rt_sigprocmask", [SIG_SETMASK, nothing, 0n, SIGSET_BYTES], "nothing is held back");
	list.add("children", "kill", [BigInt(pid), BigInt(signal)], `killed by ${signalName(signal)}`);
}
