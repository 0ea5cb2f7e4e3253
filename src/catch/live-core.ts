import { readFileSync } from "node:fs";
import { attempt, type ByteSource } from "../bytes/source.ts";
import type { CoreDraft } from "../core/draft.ts";
import type { CoreThread } from "../core/threads.ts";
import type { CpuState } from "../host/cpu.ts";
import type { Tracer } from "../host/ptrace.ts";
import type { AuxvPair } from "../linux/auxv.ts";
import { AT } from "../linux/auxv.ts";
import { auxvPair, type ElfPrpsinfo, type ElfPrstatus } from "../linux/elf-core.ts";
import { siginfoHead } from "../linux/siginfo.ts";
import { readXstate } from "../linux/xstate.ts";
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
 * The core that the kernel would write of a process in this moment.
 *
 * @param memory its memory, from where the bytes will come when the core is written.
 * @throws NecromancerError ERR_IO, ERR_HOST.
 */
export async function coreOfDying(
	{ pid, tids, siginfo }: Dying,
	tracer: Tracer,
	cpu: CpuState,
	memory: ByteSource,
): Promise<CoreDraft> {
	const [regs, areas, masks] = [
		await tracer.getRegs(tids),
		await tracer.getXstate(tids, cpu.xstate.size),
		await tracer.getSigmask(tids),
	];
	const process = processOf(pid);
	const { si_signo, si_code, si_errno } = siginfoHead.decode(siginfo);
	const { pr_ppid, pr_pgrp, pr_sid } = process;
	const threads = tids.flatMap((tid, i): CoreThread[] => {
		const [pr_reg, area, blocked] = [regs[i], areas[i], masks[i]];
		if (pr_reg === undefined || area === undefined || blocked === undefined) return [];
		const xstate = readXstate(area, cpu.xstate, `thread ${tid}`);
		const status: ElfPrstatus = {
			...{ si_signo, si_code, si_errno, pr_cursig: si_signo },
			pr_sigpend: maskIn(readProc(`/proc/${pid}/task/${tid}/status`), "SigPnd"),
			pr_sighold: blocked,
			...{ pr_pid: tid, pr_ppid, pr_pgrp, pr_sid },
			...{ pr_utime: never, pr_stime: never, pr_cutime: never, pr_cstime: never },
			...{ pr_reg, pr_fpvalid: 1 },
		};
		return [{ status, xstate, ...(i === 0 && { siginfo }) }];
	});
	return { process, threads, auxv: auxvOf(pid), ...liveMemory(pid, memory) };
}

const never = { tv_sec: 0n, tv_usec: 0n } as const;

const readProc = (path: string): string => attempt(path, () => readFileSync(path, "latin1"));

/** proc(5): fields of stat by their number, counted behind the name, which may hold anything. */
function processOf(pid: number): ElfPrpsinfo {
	const stat = readProc(`/proc/${pid}/stat`);
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const field = (number: number): number => Number(fields[number - 3] ?? 0);
	const status = readProc(`/proc/${pid}/status`);
	return {
		pr_state: 0,
		pr_sname: "R".charCodeAt(0),
		pr_zomb: 0,
		pr_nice: field(19) & 0xff,
		pr_flag: BigInt(field(9)),
		pr_uid: realId(status, "Uid"),
		pr_gid: realId(status, "Gid"),
		...{ pr_pid: pid, pr_ppid: field(4), pr_pgrp: field(5), pr_sid: field(6) },
		pr_fname: readProc(`/proc/${pid}/comm`).replace(/\n$/, ""),
		pr_psargs: readProc(`/proc/${pid}/cmdline`).slice(0, 79).replaceAll("\0", " "),
	};
}

const realId = (status: string, name: string): number =>
	Number(new RegExp(`^${name}:\\t(\\d+)`, "m").exec(status)?.[1] ?? 0);

const maskIn = (status: string, name: string): bigint =>
	BigInt(`0x${new RegExp(`^${name}:\\t([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0"}`);

function auxvOf(pid: number): AuxvPair[] {
	const path = `/proc/${pid}/auxv`;
	const bytes = attempt(path, () => readFileSync(path));
	const pairs: AuxvPair[] = [];
	for (let at = 0; at + auxvPair.size <= bytes.length; at += auxvPair.size) {
		const { a_type, a_val } = auxvPair.decode(bytes.subarray(at));
		if (a_type === BigInt(AT.NULL)) break;
		pairs.push({ type: Number(a_type), value: a_val });
	}
	return pairs;
}
