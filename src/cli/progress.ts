import type { Terminal } from "./terminal.ts";

export interface Progress {
	/** So many more bytes are done. */
	readonly advance: (bytes: bigint) => void;
	readonly end: () => void;
}

/** Less than this is done before anyone could read a percentage. */
const WORTH_SHOWING = 64n << 20n;

/** A percentage on one line of stderr, where that is a terminal and the work is long; silent otherwise. */
export function openProgress(terminal: Terminal, total: bigint): Progress {
	if (!terminal.interactive || total < WORTH_SHOWING) return { advance: () => {}, end: () => {} };
	let done = 0n;
	let shown = -1n;
	return {
		advance: (bytes) => {
			done += bytes;
			const percent = (done * 100n) / total;
			if (percent === shown) return;
			shown = percent;
			terminal.err(`\rmemory ${percent}% of ${total >> 20n} MiB`);
		},
		end: () => terminal.err("\r\u001b[K"),
	};
}
