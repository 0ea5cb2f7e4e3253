import { describe, expect, it } from "vitest";
import { batchIn } from "../../../src/agent/batch.ts";
import { address } from "../../../src/bytes/address.ts";
import { DO, EXPECTED, NR, steps, words } from "../../support/builders/steps.ts";

const area = { start: address(0x1000n), end: address(0x2000n) };

describe("a batch", () => {
	it("puts data first, then its calls, then other lists", () => {
		const batch = batchIn(area);
		const bytes = batch.put(Uint8Array.of(1, 2, 3));
		const room = batch.space(1, 16);
		const result = batch.call("read", 0, room, 1n);
		const list = batch.list();
		const made = batch.call("spawn", bytes, -1, { valueOf: result }, { list });
		const written = list.call("write", [1, bytes, 3]);
		const anyway = list.call("close", [{ valueOf: written }], { anyway: true });
		expect([bytes, room, result, made, written, anyway].map(({ at }) => at)).toEqual([
			0x1000n,
			0x1010n,
			0x1018n,
			0x1020n,
			0x1028n,
			0x1030n,
		]);
		const { ANYTHING, SUCCESS } = EXPECTED;
		const encoded = batch.encode();
		expect(encoded).toMatchObject({ at: 0x1000n, steps: 0x1038n, data: 0x38 });
		expect(Buffer.from(encoded.bytes)).toEqual(
			Buffer.concat([
				Buffer.of(1, 2, 3),
				Buffer.alloc(0x38 - 3),
				steps([
					{ call: NR.read, args: [0, 0x1010, 1], expect: ANYTHING, store: 0x1018n },
					{
						call: DO.SPAWN,
						args: [0x1000, -1, 0x1018, 0x1038 + 3 * 72],
						indirect: [2],
						expect: ANYTHING,
						store: 0x1020n,
					},
				]),
				steps([
					{ call: NR.write, args: [1, 0x1000, 3], expect: SUCCESS, store: 0x1028n },
					{ call: NR.close, args: [0x1028], indirect: [0], expect: ANYTHING, store: 0x1030n },
				]),
			]),
		);
		expect(encoded.bytes.length).toBe(batch.taken);
	});

	it("without calls is the end of a list", () => {
		expect(Buffer.from(batchIn(area).encode().bytes)).toEqual(steps([]));
	});

	it("is not longer than its area", () => {
		const batch = batchIn(area);
		batch.put(words(1));
		batch.space(4096 - 8 - 72);
		expect(batch.encode().bytes.length).toBe(4096);
		batch.space(1);
		expect(() => batch.encode()).toThrow("a batch of 4104 bytes in an area of 4096");
	});

	it("takes as many arguments as a call has", () => {
		const batch = batchIn(area);
		batch.call("lseek", 3, 0, 0);
		// @ts-expect-error lseek(2) has three
		batch.call("lseek", 3, 0, 0, 0);
		// @ts-expect-error and not two
		batch.call("lseek", 3, 0);
		// @ts-expect-error the same, with a place for its result
		batch.callInto(batch.space(8), "close", 3, 0);
		expect(batch.encode().calls).toEqual(["lseek", "lseek", "lseek", "close"]);
	});

	it("knows no call that is none", () => {
		const batch = batchIn(area);
		// @ts-expect-error a call is one of the table
		batch.call("reboot_the_moon");
		expect(() => batch.encode()).toThrow("reboot_the_moon is not in its own table");
	});
});
