import { NT } from "../../linux/elf-core.ts";
import type { Architecture } from "../architecture.ts";
import { elfPrstatus, fxregs } from "./notes.ts";
import type { UserRegs } from "./registers.ts";

/** The processor that everything here runs on. */
export const x86: Architecture<UserRegs> = {
	machine: 62,
	prstatus: elfPrstatus,
	fpregset: fxregs.size,
	threadNotes: new Map([
		[NT.X86_XSTATE, { title: "XSAVE area", size: { atMost: 65_536 } }],
		[NT.X86_SHSTK, { title: "shadow stack pointer", size: { exactly: 8 } }],
	]),
};
