import { NecromancerError } from "../errors.ts";

/**
 * Prints why a command failed and gives its exit status. A refusal is one line; anything else is a bug of ours, says so,
 * and shows where.
 */
export function reportFailure(error: unknown): number {
	if (error instanceof NecromancerError) {
		process.stderr.write(`necromancer: ${escapeControls(error.message)} [${error.code}]\n`);
		return error.exitStatus;
	}
	const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
	process.stderr.write(`necromancer: this is a bug in necromancer, please report it with what follows\n${trace}\n`);
	return 1;
}

/** Names in messages may come from a hostile core: nothing of them may reach the terminal as a command. */
const escapeControls = (text: string): string =>
	text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
