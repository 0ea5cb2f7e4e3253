import { expect, it } from "vitest";
import { address } from "../../../../src/bytes/address.ts";
import { extent, place } from "../../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { bothMemories } from "../../../../src/understand/donor/likeness.ts";
import { rebase } from "../../../../src/understand/donor/rebase.ts";
import { map } from "../../../support/builders/small-task.ts";

const nowhere = { mappings: [] };

it("gives each reader as many bytes as it asks for, in whatever order they ask", () => {
	const start = address(0x5555_0000_0000n);
	const mappings = [map(start, 1, { kind: "anonymous" })];
	const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 251));
	const contents = [place(start, extent(fromBuffer("memory", bytes), 0n, 4096n))];
	const memories = bothMemories(
		{ mappings, contents },
		{ mappings: [], read: () => undefined },
		rebase(nowhere, nowhere),
	);
	const at = address(start + 64n);
	expect(memories.ofDonor(at, 8)).toEqual(bytes.subarray(64, 72));
	expect(memories.ofDonor(at, 64)).toEqual(bytes.subarray(64, 128));
	expect(memories.ofDonor(at, 8)).toEqual(bytes.subarray(64, 72));
});
