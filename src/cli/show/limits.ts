import type { Limit } from "../../forest/task.ts";
import { section } from "../section.ts";
import { sizeText } from "../size-text.ts";
import { tableLines } from "../table.ts";
import type { Paint } from "../terminal.ts";

/** RLIMIT_ names by number with what they count (include/uapi/asm-generic/resource.h). */
const limits = [
	...[["cpu", "s"] as const, ["fsize", "bytes"] as const, ["data", "bytes"] as const, ["stack", "bytes"] as const],
	...[["core", "bytes"] as const, ["rss", "bytes"] as const, ["nproc", ""] as const, ["nofile", ""] as const],
	...[["memlock", "bytes"] as const, ["as", "bytes"] as const, ["locks", ""] as const, ["sigpending", ""] as const],
	...[["msgqueue", "bytes"] as const, ["nice", ""] as const, ["rtprio", ""] as const, ["rttime", "us"] as const],
];

const UNLIMITED = (1n << 64n) - 1n;

export const limitName = (number: number): string => limits[number]?.[0] ?? `limit ${number}`;

export const isUnlimited = (value: bigint): boolean => value === UNLIMITED;

/** Soft and hard limits; those that limit nothing only when everything is wanted. */
export function limitsText(all: readonly Limit[], paint: Paint, verbose: boolean): string {
	const rows = all.flatMap(({ soft, hard }, number) =>
		verbose || !isUnlimited(soft) ? [[limitName(number), valueText(number, soft), valueText(number, hard)]] : [],
	);
	return section("limits", "soft, hard", tableLines("lrr", rows), paint);
}

function valueText(number: number, value: bigint): string {
	if (isUnlimited(value)) return "unlimited";
	const unit = limits[number]?.[1] ?? "";
	return unit === "bytes" ? sizeText(value) : `${value}${unit === "" ? "" : ` ${unit}`}`;
}
