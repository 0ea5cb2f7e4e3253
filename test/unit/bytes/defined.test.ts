import { expect, it } from "vitest";
import { defined } from "../../../src/bytes/defined.ts";

it("leaves out what has no value, and nothing else, in the order that it was given", () => {
	const none: number | undefined = undefined as number | undefined;
	const made: { readonly a: 0; readonly b?: number; readonly c: ""; readonly d: null } = defined({
		...{ a: 0, b: none, c: "", d: null },
	});
	expect(Object.entries(made)).toEqual([
		["a", 0],
		["c", ""],
		["d", null],
	]);
	expect("b" in made).toBe(false);
});
