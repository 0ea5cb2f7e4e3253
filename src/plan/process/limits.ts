import { loss } from "../../finding.ts";
import type { Limit, Task } from "../../forest/task.ts";
import { EPERM } from "../../linux/errno.ts";
import { limitNames, rlimit64 } from "../../linux/resource.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";

/**
 * The process's limits, after everything that a limit could hinder. A hard limit above the restorer's is tried: without
 * CAP_SYS_RESOURCE it stays where it is.
 */
export function addLimits({ limits }: Task, { draft, facts }: Context): void {
	const leader = draft.leader;
	for (const [number, name] of limitNames.entries()) {
		const wanted = limits[number];
		if (wanted === undefined) continue;
		const { hard } = wanted;
		const most = facts.limits[number]?.hard ?? hard;
		const set = (what: string, limit: Limit, why: string, certain: boolean): void =>
			leader.add(
				"credentials",
				"prlimit64",
				[0n, BigInt(number), bytesDatum(`${what} ${name}`, encodeLimit(limit)), 0n],
				why,
				certain ? {} : { expect: { successOr: EPERM } },
			);
		const here = hard < most ? hard : most;
		set("limit", { soft: wanted.soft < here ? wanted.soft : here, hard: here }, `limit ${name}`, true);
		if (hard <= most) continue;
		draft.report(
			loss("limits", `limit ${name}`, `was ${text(hard)} at most; without CAP_SYS_RESOURCE it is ${text(most)}`),
		);
		set("higher limit", wanted, `limit ${name}, where that is allowed`, false);
	}
}

/** A soft limit above the hard one is EINVAL; it is no limit that a process can have had. */
const encodeLimit = ({ soft, hard }: Limit): Uint8Array =>
	rlimit64.encode({ rlim_cur: soft < hard ? soft : hard, rlim_max: hard });

const text = (value: bigint): string => (value === (1n << 64n) - 1n ? "unlimited" : `${value}`);
