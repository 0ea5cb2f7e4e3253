import { attemptWrite } from "../bytes/sink.ts";
import { NecromancerError, wording } from "../errors.ts";
import { escapeText } from "./escape-text.ts";

/** The one line that tells of a refusal: 4 KiB at most, whatever is quoted in it. */
export function refusalText(refusal: NecromancerError): string {
	for (let text = refusal.message, most = 1024; ; most >>= 1, text = wording(refusal, most)) {
		const line = `necromancer: ${escapeText(text)} [${refusal.code}]\n`;
		if (Buffer.byteLength(line) <= LONGEST_LINE || most === 0) return line;
	}
}

const LONGEST_LINE = 4096;

/**
 * Prints why a command failed and gives its exit status. A refusal is one line; anything else is a bug of ours, says so,
 * and shows where.
 */
export function reportFailure(error: unknown): number {
	if (error instanceof NecromancerError) {
		say(refusalText(error));
		return error.exitStatus;
	}
	const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
	const lines = trace.split("\n").map(escapeText).join("\n");
	say(`necromancer: this is a bug in necromancer, please report it with what follows\n${lines}\n`);
	return 1;
}

/** Ignores a failing stderr: then the exit status is all there is. */
function say(text: string): void {
	try {
		process.stderr.write(text);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
	}
}

/** What a stream said when it could not be written, as a refusal. */
export function outputFailure(cause: unknown, name = "standard output"): unknown {
	try {
		return attemptWrite(name, () => {
			throw cause;
		});
	} catch (refusal) {
		return refusal;
	}
}
