import { NecromancerError } from "../errors.ts";
import { escapeText } from "./escape-text.ts";

/** The one line that tells of a refusal. */
export const refusalText = (refusal: NecromancerError): string =>
	`necromancer: ${escapeText(refusal.message)} [${refusal.code}]\n`;

/**
 * Prints why a command failed and gives its exit status. A refusal is one line; anything else is a bug of ours, says so,
 * and shows where.
 */
export function reportFailure(error: unknown): number {
	if (error instanceof NecromancerError) {
		process.stderr.write(refusalText(error));
		return error.exitStatus;
	}
	const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
	process.stderr.write(`necromancer: this is a bug in necromancer, please report it with what follows\n${trace}\n`);
	return 1;
}
