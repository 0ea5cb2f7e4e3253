import { type LimitName, limitNumber, NO_LIMIT } from "../linux/resource.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** A soft and a hard limit; all ones is none. */
export interface ProcLimit {
	readonly soft: bigint;
	readonly hard: bigint;
}

/** By the numbers of the RLIMIT_ names. */
export const readLimits = (whose: Whose): readonly ProcLimit[] => parseLimits(textIn(whose, "limits"));

/** One of them; that of a kernel without it is none. */
export const readLimit = (whose: Whose, name: LimitName): ProcLimit =>
	readLimits(whose)[limitNumber(name)] ?? { soft: NO_LIMIT, hard: NO_LIMIT };

/** The rows of /proc/PID/limits, whose order is that of the RLIMIT_ numbers (fs/proc/base.c, lnames). */
export const parseLimits = (text: string): readonly ProcLimit[] =>
	text
		.split("\n")
		.slice(1)
		.filter((line) => line !== "")
		.map((line) => {
			const [, soft = "", hard = ""] = /^Max .*?\s{2,}(\S+)\s+(\S+)/.exec(line) ?? [];
			return { soft: limitIn(soft), hard: limitIn(hard) };
		});

const limitIn = (text: string): bigint => (text === "unlimited" ? NO_LIMIT : BigInt(text));
