import { readAt } from "../bytes/extent.ts";
import { textsFromBytes } from "../bytes/text.ts";
import type { Memory } from "./task.ts";

/** Longer ones are cut. */
const MOST_ARGUMENT_BYTES = 65_536n;

/** The command line as it stands on a process's stack, which titles overwrite; empty when it is not there. */
export function commandLineOf({ bounds: { argStart, argEnd }, contents }: Memory): string[] {
	if (argEnd <= argStart) return [];
	const length = argEnd - argStart < MOST_ARGUMENT_BYTES ? argEnd - argStart : MOST_ARGUMENT_BYTES;
	const bytes = readAt(contents, argStart, Number(length));
	return bytes === undefined ? [] : textsFromBytes(bytes);
}
