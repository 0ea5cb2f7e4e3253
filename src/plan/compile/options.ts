import type { Range } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import type { FilePolicy } from "../files/files.ts";
import type { IdPolicy } from "../ids.ts";
import type { OpenedInput } from "../inputs.ts";
import type { MemoryOptions } from "../memory/memory.ts";
import type { TracerPolicy } from "../process/tracer.ts";
import type { LeavePolicy } from "../threads/leave.ts";

export interface CompileOptions extends FilePolicy, MemoryOptions, TracerPolicy, IdPolicy, LeavePolicy {
	/** The files of `neededFiles`, as the agent has them open. Absent: as one would that opens one after the other. */
	readonly opened?: readonly OpenedInput[];
	/** What the agent was given at its start, from FIRST_INPUT_FD on; what the process's bytes come from when absent. */
	readonly given?: readonly ByteSource[];
	/** Where the agent lives: free in the process's layout. Chosen for it when absent. */
	readonly hole?: Range;
}
