import { expect } from "vitest";

/** What `restore` says when all went well: what is not as it was, if anything, and then that the process lives. */
export const saidRestored = (line: string): string =>
	expect.stringMatching(
		new RegExp(`^(?:(?:loss {3}|caution) .+\\n)*restored process ${line.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\n$`),
	);
