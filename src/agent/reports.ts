import { reportLayout } from "../program/abi.ts";
import type { ByteStream } from "./byte-stream.ts";

/** What the tasks of a plan say over their own socket, and what they are told. */
export interface Reports {
	/**
	 * The next one: a failed step by its id, or id 0. `undefined` when nobody holds the other end any more; as the agent does,
	 * have it close REPORT_FD once its tasks are made, to hear of their end.
	 */
	next(): Promise<Report | undefined>;
	/** Bytes for whoever reads there. */
	send(bytes: Uint8Array): void;
}

export interface Report {
	/** What the context of the task calls it. */
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
