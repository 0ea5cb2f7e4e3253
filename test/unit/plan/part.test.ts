import { expect, it } from "vitest";
import { bytesFromText } from "../../../src/bytes/text.ts";
import { joinParts, partDraft, requireOrder } from "../../../src/plan/part.ts";
import { pathDatum } from "../../../src/program/data.ts";
import { refusal } from "../../support/refusal.ts";

it("a path with a NUL in it, which the kernel would read as a shorter one, is refused", () => {
	expect(refusal(() => pathDatum("path of the log", "/etc/passwd\0/log"))).toBe(
		"ERR_TASK_UNRUNNABLE path of the log: has a NUL as byte 11, but 16 bytes",
	);
	expect(pathDatum("path of the log", "/log").datum).toMatchObject({ size: 5, bytes: bytesFromText("/log") });
});

it("a step takes as many arguments as its call has", () => {
	const { leader } = partDraft();
	leader.add("files", "openat", [-100n, 0n, 0n], "a file that is there");
	leader.add("files", "openat", [-100n, 0n, 0n, 0o600n], "one that is made");
	// @ts-expect-error close(2) has one
	leader.add("files", "close", [3n, 0n], "why");
	// @ts-expect-error openat(2) has three, or four
	leader.add("files", "openat", [-100n, 0n], "why");
});

it("the stages of each list come in their order", () => {
	const draft = partDraft();
	draft.list("leader").add("files", "close", [3n], "why");
	draft.list("thread 5").add("identity", "setsid", [], "another list");
	draft.list("leader").add("map", "munmap", [0n, 4096n], "a later stage");
	const later = partDraft();
	later.list("leader").add("files", "close", [4n], "an earlier one");
	expect(joinParts([draft.made()]).lists.map(({ name }) => name)).toEqual(["leader", "thread 5"]);
	expect(() => requireOrder("memory", [], draft.made())).not.toThrow();
	expect(() => requireOrder("late files", [draft.made()], later.made())).toThrow(
		"the part late files has close of the stage files behind the stage map, in the list leader",
	);
	draft.list("leader").add("files", "close", [5n], "an earlier one of its own");
	expect(() => requireOrder("memory", [], draft.made())).toThrow(
		"the part memory has close of the stage files behind the stage map, in the list leader",
	);
});
