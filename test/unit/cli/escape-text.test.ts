import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapeText } from "../../../src/cli/escape-text.ts";

describe("escapeText", () => {
	it.each([
		["plain /usr/lib/x.so (deleted) é 語 🦀", "plain /usr/lib/x.so (deleted) é 語 🦀"],
		["\u001b]0;owned\u0007\n\r\t", "\\x1b]0;owned\\x07\\x0a\\x0d\\x09"],
		["\u007f\u009b31m", "\\x7f\\x9b31m"],
		["a\u202egpj.exe\u2066\u200b", "a\\u{202e}gpj.exe\\u{2066}\\u{200b}"],
		["\u{e0041}", "\\u{e0041}"],
		["\u2028\u2029", "\\u{2028}\\u{2029}"],
		// bytes that were no UTF-8, and a surrogate that stands for none
		["caf\udce9", "caf\\xe9"],
		["\ud800", "\\u{d800}"],
		["\\x1b", "\\\\x1b"],
	])("%j", (from, to) => {
		expect(escapeText(from)).toBe(to);
	});

	it("leaves nothing that a terminal obeys or hides, and keeps texts apart", () => {
		const hostile = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
		fc.assert(
			fc.property(hostile, hostile, (a, b) => {
				expect(escapeText(a)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
				expect(escapeText(a) === escapeText(b)).toBe(a === b);
			}),
		);
	});
});
