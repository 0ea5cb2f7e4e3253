import { expect, test } from "vitest";
import { summaryOf } from "../../../src/cli/findings.ts";
import { caution, loss, note } from "../../../src/finding.ts";

test("a summary says in words what is whole and what is not", () => {
	const [odd, gone] = [caution("session", "s", "t"), loss("files-default", "s", "t")];
	expect(summaryOf([])).toBe("nothing lost");
	expect(summaryOf([note("lazy", "s", "t")])).toBe("nothing lost");
	expect(summaryOf([odd])).toBe("nothing lost, 1 caution");
	expect(summaryOf([gone, odd, odd])).toBe("memory and threads are whole; lost: open files; 2 cautions");
	expect(summaryOf([loss("contents-lost", "s", "t"), gone])).toBe("threads are whole; lost: open files, memory");
	expect(summaryOf([loss("xstate", "s", "t"), loss("contents-lost", "s", "t")])).toBe("lost: threads, memory");
	expect(summaryOf([loss("handlers-default", "s", "t"), gone, loss("runtime-handlers", "s", "t")])).toBe(
		"memory and threads are whole; lost: open files, signal handlers",
	);
});
