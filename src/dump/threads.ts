import { readFileSync } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import type { UserRegs } from "../arch/x86-64/registers.ts";
import { RESTART_CODE_BYTES, windBack } from "../arch/x86-64/restart.ts";
import { abortedIp, rseqArea, rseqCs } from "../arch/x86-64/rseq.ts";
import { USER_CS } from "../arch/x86-64/sigframe.ts";
import { readXstate, type Xstate } from "../arch/x86-64/xstate.ts";
import { address } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { refuse } from "../errors.ts";
import type { Credentials, Thread } from "../forest/task.ts";
import type { CpuState } from "../host/cpu.ts";
import { maskFrom } from "../linux/mempolicy.ts";
import { readComm } from "../proc/single-values.ts";
import { readStat } from "../proc/stat.ts";
import { type ProcStatus, readStatus } from "../proc/status.ts";
import type { StoppedThread } from "../trace/inject.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import { pendingSignals, type ThreadRecords, threadRecords } from "../trace/thread-records.ts";
import { tracerOn } from "../trace/tracer.ts";
import type { Asked, ThreadAnswers } from "./parasite-queries.ts";

/** A stopped thread as the kernel shows it to its tracer and in /proc. */
export interface Stopped {
	readonly tid: number;
	/** What it goes on with, as far as it is not left running: see {@link windBack}. */
	readonly registers: UserRegs;
	/** What it has to have when it is let go. */
	readonly thread: StoppedThread;
	readonly xstate: Xstate;
	readonly records: ThreadRecords;
	readonly status: ProcStatus;
	readonly pending: readonly Uint8Array[];
}

/**
 * All about the threads of a stopped process that can be seen from outside.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for 32-bit code, ERR_HOST.
 */
export async function stoppedThreads(
	agent: Agent,
	pid: number,
	tids: readonly number[],
	memory: ProcessMemory,
	cpu: CpuState,
): Promise<readonly Stopped[]> {
	const tracer = tracerOn(agent);
	const regs = await tracer.getRegs(tids);
	const masks = await tracer.getSigmask(tids);
	const areas = await tracer.getXstate(tids, cpu.xstate.size);
	const records = await threadRecords(agent, tids);
	const stopped: Stopped[] = [];
	for (const [i, tid] of tids.entries()) {
		const [own, mask, area, record] = [regs[i], masks[i], areas[i], records[i]];
		if (own === undefined || mask === undefined || area === undefined || record === undefined)
			throw new RangeError(`nothing is known of thread ${tid}`);
		require64Bit(tid, own);
		const status = readStatus({ pid, tid });
		const resuming = withoutSection(own, record, memory);
		const code = memory.peek(address(resuming.ip - BigInt(RESTART_CODE_BYTES)), RESTART_CODE_BYTES);
		stopped.push({
			tid,
			registers: windBack(resuming, code),
			thread: { tid, regs: resuming, mask },
			xstate: readXstate(area, cpu.xstate, `thread ${tid}`),
			records: record,
			status,
			pending: status.pending === 0n ? [] : await pendingSignals(agent, tid, "thread"),
		});
	}
	return stopped;
}

function require64Bit(tid: number, { cs }: UserRegs): void {
	if (cs === USER_CS) return;
	refuse("ERR_UNSUPPORTED", {
		subject: `thread ${tid}`,
		finding: `runs 32-bit code (cs 0x${cs.toString(16)})`,
		expectation: "expected 64-bit code, 0x33",
	});
}

/**
 * The registers of a thread inside an rseq critical section, moved to the abort handler: the kernel does that at the exit to
 * user mode, where the ip is ours by then.
 */
function withoutSection(regs: UserRegs, { rseq }: ThreadRecords, memory: ProcessMemory): UserRegs {
	if (rseq === undefined) return regs;
	const bytes = memory.peek(rseq.area, rseqArea.size);
	const area = bytes === undefined ? undefined : rseqArea.decode(bytes);
	if (area === undefined || area.rseq_cs === 0n) return regs;
	const section = memory.peek(address(area.rseq_cs), rseqCs.size);
	const ip = section === undefined ? undefined : abortedIp(address(regs.ip), rseqCs.decode(section), area.flags);
	return ip === undefined ? regs : { ...regs, ip };
}

export const askedOf = ({ tid, registers, xstate, thread: { mask } }: Stopped): Asked => ({
	tid,
	registers,
	xstate,
	blocked: mask,
});

/** A thread with what it told about itself. */
export function threadFrom(pid: number, stopped: Stopped, answers: ThreadAnswers): Thread {
	const { tid, registers, xstate, thread, records, status, pending } = stopped;
	const { nice, realTimePriority } = readStat({ pid, tid });
	const { alternateStack, clearTid, parentDeathSignal, securebits } = answers;
	const affinity = affinityOf(status);
	const attributes = { ...answers.attributes, ...defined({ affinity }) };
	return {
		tid,
		name: readComm({ pid, tid }),
		registers,
		xstate,
		blocked: thread.mask,
		pending,
		...defined({ alternateStack }),
		...(clearTid === undefined || clearTid === 0n ? {} : { clearTid }),
		...(records.robustList === 0n ? {} : { robustList: records.robustList }),
		...defined({ rseq: records.rseq }),
		scheduling: { nice, policy: records.policy, priority: realTimePriority },
		parentDeathSignal,
		credentials: credentialsOf(status, securebits),
		seccomp: (["none", "strict", "filter"] as const)[status.seccomp] ?? "none",
		...(Object.keys(attributes).length === 0 ? {} : { attributes }),
	};
}

function credentialsOf(status: ProcStatus, securebits: number): Credentials {
	const [uid, euid, suid, fsuid] = status.uids;
	const [gid, egid, sgid, fsgid] = status.gids;
	const { groups, inheritable, permitted, effective, bounding, ambient, noNewPrivileges } = status;
	return {
		...{ uid, gid, euid, egid, suid, sgid, fsuid, fsgid, groups, inheritable, permitted, effective },
		...{ bounding, ambient, securebits, noNewPrivileges },
	};
}

/** A thread's CPU affinity mask; `undefined` where it may run on all online CPUs. */
export function affinityOf({ processors }: ProcStatus, online = onlineProcessors()): bigint | undefined {
	return online === 0n || (processors & online) === online || processors === 0n ? undefined : processors;
}

function onlineProcessors(): bigint {
	try {
		return maskFrom(readFileSync("/sys/devices/system/cpu/online", "latin1"));
	} catch {
		return 0n;
	}
}
