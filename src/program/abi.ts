import { array, layout, u8, u16, u32, u64 } from "../bytes/layout.ts";

/** The blob's own structures (src/blob/blob.h); a test compares the two where gcc is. */
export const stepLayout = layout("step", {
	call: u16,
	/** Bit i: argument i is the address of the value. */
	indirect: u8,
	expect: u8,
	id: u32,
	arg: array(u64, 6),
	want: u64,
	store: u64,
});

export const contextLayout = layout("context", { report_fd: u64, task: u64 });

export const reportLayout = layout("report", { task: u64, id: u64, result: u64 });

export const requestLayout = layout("request", {
	load_at: u64,
	load_bytes: u64,
	steps: u64,
	/** The list that is run when the driver is gone; 0 for none. */
	undo: u64,
	reply_at: u64,
	reply_bytes: u64,
});

export const EXPECT = { ANYTHING: 0, SUCCESS: 1, EXACTLY: 2, SUCCESS_OR: 3, REPEAT: 4 } as const;

/** How much of a hole's beginning belongs to the agent: blob, its stack, its requests. Bytes; plans lie behind it. */
export const AGENT_ROOM = 0x4_0000n;

/** Where the agent and its driver talk. */
export const AGENT_FD = 3;

/** Where the tasks and threads of a plan report and wait for the word to go: a stream of their own, inherited by all. */
export const REPORT_FD = 4;

/** A `report_fd` of those whose failures nobody is to hear of. */
export const NO_REPORTS = (1n << 64n) - 1n;

/** The first of the files that whoever starts an agent has opened for it; the others follow. */
export const FIRST_INPUT_FD = 5;
/** What a report says that is none of a failure: that all is ready, or that the process asks what its clocks are to be. */
export const READY = 0n;
export const ASKS_FOR_CLOCKS = 1n;

/** How a task ends that could not go on. */
export const FAILED_STATUS = 111;
