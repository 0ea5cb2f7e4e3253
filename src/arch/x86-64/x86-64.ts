import type { Architecture } from "../architecture.ts";
import { elfPrstatus } from "./notes.ts";
import type { UserRegs } from "./registers.ts";

/** The processor that everything here runs on. */
export const x86: Architecture<UserRegs> = {
	machine: 62,
	prstatus: elfPrstatus,
	threadNotes: [],
};
