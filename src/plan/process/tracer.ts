import { PR } from "../../linux/prctl.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";

export interface TracerPolicy {
	/**
	 * Who may attach to the process although it is none of its ancestors: a process id as the process itself sees it, with all
	 * its descendants; or anybody of the same user. For hosts where Yama allows ancestors only (kernel.yama.ptrace_scope 1,
	 * Documentation/admin-guide/LSM/Yama.rst).
	 */
	readonly tracer?: number | "anybody";
}

/** PR_SET_PTRACER_ANY (include/uapi/linux/prctl.h). */
const ANYBODY = (1n << 64n) - 1n;

/** Lets a debugger in. A host without Yama knows no such option, and needs none. */
export function planTracer({ tracer }: TracerPolicy, { draft }: Context): Part {
	if (tracer === undefined) return draft.made();
	draft.leader.add(
		"credentials",
		"prctl",
		[BigInt(PR.SET_PTRACER), tracer === "anybody" ? ANYBODY : BigInt(tracer), 0n, 0n, 0n],
		"who may attach to it",
		{ expect: "anything" },
	);
	return draft.made();
}
