import type { Address } from "../../bytes/address.ts";
import type { MmEntry } from "../../criu/wire/generated/schema.ts";
import type { Task } from "../task.ts";

/** The eleven addresses of an mm_entry. */
export const boundsFrom = (mm: MmEntry): Task["memory"]["bounds"] => ({
	startCode: mm.mm_start_code as Address,
	endCode: mm.mm_end_code as Address,
	startData: mm.mm_start_data as Address,
	endData: mm.mm_end_data as Address,
	startStack: mm.mm_start_stack as Address,
	startBrk: mm.mm_start_brk as Address,
	brk: mm.mm_brk as Address,
	argStart: mm.mm_arg_start as Address,
	argEnd: mm.mm_arg_end as Address,
	envStart: mm.mm_env_start as Address,
	envEnd: mm.mm_env_end as Address,
});
