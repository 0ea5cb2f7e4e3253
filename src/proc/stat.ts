import { type Address, address } from "../bytes/address.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** What /proc/PID/stat tells, or a thread's (proc_pid_stat(5)). */
export interface ProcStat {
	/** As the kernel shows it: newlines and backslashes escaped. */
	readonly comm: string;
	/** As {@link ProcStatus.state}. */
	readonly state: string;
	readonly ppid: number;
	readonly pgid: number;
	readonly sid: number;
	/** The device of its controlling terminal, as the kernel has it (`new_encode_dev`); 0 for none. */
	readonly terminal: number;
	/** The process group in that one's foreground; -1 for none. */
	readonly foreground: number;
	readonly nice: number;
	/** Clock ticks after boot; tells a process from another that got its id. */
	readonly startTime: bigint;
	/** 0, or 1 … 99 for the real-time policies. */
	readonly realTimePriority: number;
	/** As wait(2) gives it, of who has ended; 0 for those who may not know. */
	readonly exitStatus: number;
	/** Zeros for those who may not know. */
	readonly bounds: {
		readonly startCode: Address;
		readonly endCode: Address;
		readonly startStack: Address;
		readonly startData: Address;
		readonly endData: Address;
		readonly startBrk: Address;
		readonly argStart: Address;
		readonly argEnd: Address;
		readonly envStart: Address;
		readonly envEnd: Address;
	};
}

export const readStat = (whose: Whose): ProcStat => parseStat(textIn(whose, "stat"));

export function parseStat(text: string): ProcStat {
	// the name may hold spaces and parentheses; what follows the last one does not
	const behind = text.lastIndexOf(")");
	const fields = text.slice(behind + 2).split(" ");
	/** By its number in proc_pid_stat(5), where the state is 3. */
	const word = (number: number): bigint => BigInt(/^-?\d+/.exec(fields[number - 3] ?? "")?.[0] ?? 0);
	const at = (number: number): Address => address(word(number));
	return {
		comm: text.slice(text.indexOf("(") + 1, behind),
		state: fields[0] ?? "",
		ppid: Number(word(4)),
		pgid: Number(word(5)),
		sid: Number(word(6)),
		terminal: Number(BigInt.asUintN(32, word(7))),
		foreground: Number(word(8)),
		nice: Number(word(19)),
		startTime: word(22),
		realTimePriority: Number(word(40)),
		exitStatus: Number(word(52)),
		bounds: {
			...{ startCode: at(26), endCode: at(27), startStack: at(28) },
			...{ startData: at(45), endData: at(46), startBrk: at(47) },
			...{ argStart: at(48), argEnd: at(49), envStart: at(50), envEnd: at(51) },
		},
	};
}

/** Nanoseconds that a thread has run, by /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst). */
export const readTimeOnProcessor = (whose: Whose): bigint => BigInt(/^\d+/.exec(textIn(whose, "schedstat"))?.[0] ?? 0);
