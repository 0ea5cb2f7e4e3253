import { describe, expect, test } from "vitest";
import { deduced, told } from "../../../support/builders/deduced-core.ts";
import { deadCore, filled, P, withSegment } from "../../../support/builders/pair.ts";
import { refusal } from "../../../support/refusal.ts";

const at = 0x7f10_0080_0000n;
const range = { start: at, end: at + 2n * P };

describe("code whose file was deleted", () => {
	const gone = (bytes?: Buffer) =>
		withSegment(
			deadCore(),
			{ ...range, prot: 5, ...(bytes === undefined ? {} : { bytes }) },
			{ offset: P, path: "/opt/plugin.so (deleted)" },
		);

	test("is not run as zeros", () => {
		expect(refusal(() => deduced(gone()))).toBe(
			"ERR_BINARY_MISSING /opt/plugin.so: was deleted, and 8192 bytes of its code at 0x7f1000800000 are not in the core, expected its code; raise it with a copy of the file (--map-file OLD=NEW, or --search DIR), or insist with --allow-mismatch: what is missing reads as zeros then",
		);
	});

	test("is zeros for who insists, and that is a loss", () => {
		expect(told(deduced(gone(), { allowMismatch: true }), "contents-lost")).toEqual([
			"loss mapping 0x7f1000800000: /opt/plugin.so was deleted and 8192 of 8192 bytes are not in the core; they read as zeros",
		]);
	});

	test("is as good as any where the core holds all of it", () => {
		expect(told(deduced(gone(filled(0x90, 2))), "contents-lost")).toEqual([]);
	});
});

describe("writable memory of which the core has nothing", () => {
	test("was never written to, or was kept out: which, a core does not tell", () => {
		expect(told(deduced(withSegment(deadCore(), { ...range, prot: 3 })), "contents-lost")).toEqual([
			"caution mapping 0x7f1000800000: 8192 bytes of writable memory, none of it in the core: never written to, or kept out of it (MADV_DONTDUMP); they read as zeros",
		]);
	});

	test("is counted where there is more of it", () => {
		const [start, end] = [at + 4n * P, at + 5n * P];
		const core = withSegment(withSegment(deadCore(), { ...range, prot: 3 }), { start, end, prot: 7 });
		expect(told(deduced(core), "contents-lost")).toEqual([
			expect.stringMatching(/^caution 2 mappings from 0x7f1000800000 on: 12288 bytes/),
		]);
	});

	test("is no matter where it cannot be written to", () => {
		expect(told(deduced(withSegment(deadCore(), { ...range, prot: 0 })), "contents-lost")).toEqual([]);
	});
});
