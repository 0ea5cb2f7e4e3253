import type { Agent } from "../agent/agent.ts";
import type { UserRegs } from "../arch/x86-64/registers.ts";
import { readXstate } from "../arch/x86-64/xstate.ts";
import type { NewCore } from "../core/new-core.ts";
import type { CoreThread } from "../core/threads.ts";
import { measureCpu } from "../host/cpu.ts";
import { readAuxv } from "../linux/auxv.ts";
import type { ElfPrpsinfo, ElfPrstatus } from "../linux/elf-core.ts";
import { siginfoHead } from "../linux/siginfo.ts";
import { readAuxvBytes, readCmdline, readComm } from "../proc/single-values.ts";
import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import { tracerOn } from "../trace/tracer.ts";
import { liveMemory } from "./live-memory.ts";

/** A process about to die of a signal, all of its threads stopped by a tracer. */
export interface Dying {
	readonly pid: number;
	/** The one that took the signal first. */
	readonly tids: readonly number[];
	/** 128 bytes. */
	readonly siginfo: Uint8Array;
}

/**
 * The core that the kernel would write of a process now: registers are raw, a system call is not wound back.
 *
 * @param agent Its tracer.
 * @param memory Its memory: from there the bytes will come when the core is written.
 * @throws NecromancerError ERR_IO, ERR_HOST.
 */
export async function coreOfDying(
	agent: Agent,
	{ pid, tids, siginfo }: Dying,
	memory: ProcessMemory,
): Promise<NewCore> {
	const tracer = tracerOn(agent);
	const cpu = await measureCpu(agent);
	const regs = await tracer.getRegs(tids);
	const areas = await tracer.getXstate(tids, cpu.xstate.size);
	const masks = await tracer.getSigmask(tids);
	const process = processOf(pid);
	const { si_signo, si_code, si_errno } = siginfoHead.decode(siginfo);
	const { pr_ppid, pr_pgrp, pr_sid } = process;
	const threads = tids.flatMap((tid, i): CoreThread[] => {
		const [pr_reg, area, blocked] = [regs[i], areas[i], masks[i]];
		if (pr_reg === undefined || area === undefined || blocked === undefined) return [];
		const status: ElfPrstatus<UserRegs> = {
			...{ si_signo, si_code, si_errno, pr_cursig: si_signo },
			pr_sigpend: readStatus({ pid, tid }).pending,
			pr_sighold: blocked,
			...{ pr_pid: tid, pr_ppid, pr_pgrp, pr_sid },
			...{ pr_utime: never, pr_stime: never, pr_cutime: never, pr_cstime: never },
			...{ pr_reg, pr_fpvalid: 1 },
		};
		const xstate = readXstate(area, cpu.xstate, `thread ${tid}`);
		return [{ status, xstate, ...(i === 0 && { siginfo }) }];
	});
	return { process, threads, auxv: readAuxv(readAuxvBytes(pid)), ...(await liveMemory(agent, pid, memory)) };
}

const never = { tv_sec: 0n, tv_usec: 0n } as const;

/** Bytes that `pr_psargs` holds before its NUL. */
const PSARGS = 79;

function processOf(pid: number): ElfPrpsinfo {
	const { ppid, pgid, sid, nice } = readStat(pid);
	const { uids, gids } = readStatus(pid);
	return {
		...{ pr_state: 0, pr_sname: "R".charCodeAt(0), pr_zomb: 0, pr_nice: nice & 0xff, pr_flag: 0n },
		...{ pr_uid: uids[0], pr_gid: gids[0], pr_pid: pid, pr_ppid: ppid, pr_pgrp: pgid, pr_sid: sid },
		pr_fname: readComm(pid),
		pr_psargs: readCmdline(pid).slice(0, PSARGS).replaceAll("\0", " "),
	};
}
