import { describe, expect, it } from "vitest";
import { planDraft } from "../../../src/plan/draft.ts";

const draftOf = () => planDraft((text) => Buffer.from(text));

describe("a plan in the making", () => {
	it("keeps the stages of each list in their order", () => {
		const draft = draftOf();
		draft.list("leader").add("files", "close", [3n], "why");
		draft.list("thread 5").add("identity", "setsid", [], "another list");
		draft.list("leader").add("map", "munmap", [0n, 4096n], "a later stage");
		expect(() => draft.list("leader").add("files", "close", [4n], "an earlier one")).toThrow(
			"close of the stage files behind one of the stage map, in the list leader",
		);
	});

	it("has no call with more arguments than registers", () => {
		expect(() => draftOf().list("leader").add("map", "mmap", [0n, 0n, 0n, 0n, 0n, 0n, 0n], "why")).toThrow(
			"mmap with 7 arguments",
		);
	});
});
