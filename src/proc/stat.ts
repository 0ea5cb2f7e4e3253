import { type Address, address } from "../bytes/address.ts";

/** What /proc/PID/stat tells that nothing else does so cheaply (proc(5)). */
export interface ProcStat {
	readonly ppid: number;
	readonly pgid: number;
	readonly sid: number;
	readonly nice: number;
	/** Clock ticks after boot; tells a process from another that got its id. */
	readonly startTime: bigint;
	/** 0, or 1 … 99 for the real-time policies. */
	readonly realTimePriority: number;
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

export function readProcStat(text: string): ProcStat {
	// the name may hold spaces and parentheses; what follows the last one does not
	const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
	/** By its number in proc(5), where the state is 3. */
	const word = (number: number): bigint => BigInt(/^-?\d+/.exec(fields[number - 3] ?? "")?.[0] ?? 0);
	const at = (number: number): Address => address(word(number));
	return {
		ppid: Number(word(4)),
		pgid: Number(word(5)),
		sid: Number(word(6)),
		nice: Number(word(19)),
		startTime: word(22),
		realTimePriority: Number(word(40)),
		bounds: {
			...{ startCode: at(26), endCode: at(27), startStack: at(28) },
			...{ startData: at(45), endData: at(46), startBrk: at(47) },
			...{ argStart: at(48), argEnd: at(49), envStart: at(50), envEnd: at(51) },
		},
	};
}
