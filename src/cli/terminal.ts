import { Chalk, type ChalkInstance } from "chalk";

import { outputFailure } from "./failure.ts";

export { escapeText } from "./escape-text.ts";

/** Colours text; where colours are not wanted, gives it back as it is. */
export interface Paint {
	readonly bold: (text: string) => string;
	readonly dim: (text: string) => string;
	readonly red: (text: string) => string;
	readonly yellow: (text: string) => string;
	readonly green: (text: string) => string;
	readonly cyan: (text: string) => string;
}

/** Where a command speaks: data on stdout, everything else on stderr. */
export interface Terminal {
	readonly out: (text: string) => void;
	readonly err: (text: string) => void;
	/** Long text to stdout, a piece at a time: the next is made when there is room for it. */
	readonly outAll: (pieces: Iterable<string>) => Promise<void>;
	/** The same for what must arrive. @throws NecromancerError ERR_IO where it does not */
	readonly deliver: (where: "out" | "err", text: string) => Promise<void>;
	/** For what goes to stdout. */
	readonly paint: Paint;
	/** For what goes to stderr, which may be a terminal when stdout is none, or the reverse. */
	readonly errPaint: Paint;
	/** Characters in a line of stdout; 80 where it is no terminal. */
	readonly columns: number;
	/** Somebody watches stderr. */
	readonly interactive: boolean;
}

interface Stream {
	write(text: string, done?: (cause?: Error | null) => void): unknown;
	readonly isTTY?: boolean;
	readonly columns?: number;
}

/** As much of `process` as a terminal needs. */
export interface ProcessLike {
	readonly stdout: Stream;
	readonly stderr: Stream;
	readonly env: Readonly<Record<string, string | undefined>>;
}

export function openTerminal({ stdout, stderr, env }: ProcessLike): Terminal {
	return {
		out: (text) => void write(stdout, OUT, text),
		err: (text) => void write(stderr, ERR, text),
		outAll: async (pieces) => {
			for (const piece of pieces) if (!(await taken(stdout, OUT, piece))) return;
		},
		deliver: (where, text) =>
			new Promise((done, fail) => {
				const [stream, name] = where === "out" ? ([stdout, OUT] as const) : ([stderr, ERR] as const);
				write(stream, name, text, (cause) => (cause ? fail(outputFailure(cause, name)) : done()));
			}),
		paint: paintFor(stdout, env),
		errPaint: paintFor(stderr, env),
		columns: stdout.columns || 80,
		interactive: stderr.isTTY === true,
	};
}

const [OUT, ERR] = ["standard output", "standard error"] as const;

/** A file or a device fails at once, a pipe later. */
function write(stream: Stream, name: string, text: string, done?: (cause?: Error | null) => void): unknown {
	try {
		return stream.write(text, done);
	} catch (cause) {
		throw outputFailure(cause, name);
	}
}

/** Waits where the stream has more than it wants to hold. False when the reader is gone; the stream's error event says so. */
const taken = (stream: Stream, name: string, text: string): Promise<boolean> =>
	new Promise((done) => {
		if (write(stream, name, text, (cause) => done(!cause)) !== false) done(true);
	});

/**
 * Whether to colour: FORCE_COLOR decides where it is set (as in Node: `0` and `false` mean no, anything else and nothing
 * at all mean yes), then a non-empty NO_COLOR (no-color.org) and `TERM=dumb`, then whether the stream is a terminal.
 */
function wantsColour({ isTTY }: Stream, env: ProcessLike["env"]): boolean {
	const { FORCE_COLOR: force, NO_COLOR: none, TERM: term } = env;
	if (force !== undefined) return force !== "0" && force !== "false";
	if (none !== undefined && none !== "") return false;
	return isTTY === true && term !== "dumb";
}

const paintFor = (stream: Stream, env: ProcessLike["env"]): Paint =>
	// Chalk's own guess knows neither NO_COLOR nor two streams. Sixteen colours are all we use: the reader's own.
	paintWith(new Chalk({ level: wantsColour(stream, env) ? 1 : 0 }));

const paintWith = ({ bold, dim, red, yellow, green, cyan }: ChalkInstance): Paint => ({
	bold: (text) => bold(text),
	dim: (text) => dim(text),
	red: (text) => red(text),
	yellow: (text) => yellow(text),
	green: (text) => green(text),
	cyan: (text) => cyan(text),
});
