import { describe, expect, test } from "vitest";
import { refusalText } from "../../src/cli/failure.ts";
import { NecromancerError, refuseAll } from "../../src/errors.ts";

function caught(call: () => unknown): NecromancerError {
	try {
		call();
	} catch (error) {
		if (error instanceof NecromancerError) return error;
		throw error;
	}
	return expect.fail("expected a refusal");
}

/** What a refusal about `count` files with names of `length` characters says. */
const said = (count: number, length: number, character = "x"): string => {
	const faults = Array.from({ length: count }, (_, i) => ({
		subject: `/${i}/${character.repeat(length)}`,
		finding: "is another",
		expectation: "expected the one that was mapped",
	}));
	return refusalText(caught(() => refuseAll("ERR_BINARY_MISMATCH", "mapped files", faults, "put them back")));
};

describe("what is said of a refusal", () => {
	test.each([
		["one name of a megabyte", 1, 1_000_000, "x"],
		["65,000 names of 60,000 characters", 65_000, 60, "x"],
		["names of control characters", 40, 60_000, "\x1b"],
		["a name of invisible characters", 1, 60_000, "\u{202e}"],
	])("%s: at most 4 KiB", (_, count, length, character) => {
		const text = said(count, length, character);
		expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
		expect(text).toMatch(/^necromancer: .*\/0\/.*put them back \[ERR_BINARY_MISMATCH\]\n$/);
	});

	test("what there is room for is said whole", () => {
		expect(said(2, 3)).toBe(
			"necromancer: 2 mapped files: /0/xxx is another (expected the one that was mapped), " +
				"/1/xxx is another (expected the one that was mapped); put them back [ERR_BINARY_MISMATCH]\n",
		);
	});

	test("what is left out is counted", () => {
		expect(said(100, 3)).toContain("/15/xxx is another (expected the one that was mapped), and 84 more; put them back");
		expect(new NecromancerError("ERR_IO", { subject: "a".repeat(2000), finding: "is gone" }).message).toBe(
			`${"a".repeat(768)}…(976 characters)…${"a".repeat(256)}: is gone`,
		);
	});
});
