import { reportLayout } from "../program/abi.ts";
import type { ByteStream } from "./byte-stream.ts";

/** The report socket of the processes that run a plan: what they write, and what they read. */
export interface Reports {
	/**
	 * The next report: a failed step by its id, or id 0. `undefined` when the other end is closed. The agent holds that end
	 * too: have it close REPORT_FD once its processes are made.
	 */
	next(): Promise<Report | undefined>;
	/** Writes bytes for the process to read. */
	send(bytes: Uint8Array): void;
}

export interface Report {
	/** The number of the task in its `struct context`. */
	readonly task: bigint;
	/** Of the step that was not satisfied; 0 for none. */
	readonly id: bigint;
	/** What the call returned: an error is -errno. */
	readonly result: bigint;
}

export const reportsFrom = (stream: ByteStream): Reports => ({
	next: async () => {
		const bytes = await stream.take(reportLayout.size);
		return bytes === undefined ? undefined : readReport(bytes);
	},
	send: stream.send,
});

export function readReport(bytes: Uint8Array): Report {
	const { task, id, result } = reportLayout.decode(bytes);
	return { task, id, result: BigInt.asIntN(64, result) };
}
