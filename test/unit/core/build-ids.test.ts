import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { buildIds } from "../../../src/core/build-ids.ts";
import { readCore } from "../../../src/core/core.ts";
import { coreMemory } from "../../../src/core/memory.ts";
import { type BuiltCore, buildCore } from "../../support/builders/core-builder.ts";
import { fixturePath } from "../../support/builders/fixture-core.ts";

const first = readFileSync(fixturePath("bin/counter")).subarray(0, 4096);
const ids = (core: Pick<BuiltCore, "files" | "segments">) => {
	const read = readCore(fromBuffer("core", buildCore({ threads: [{ tid: 1 }], ...core })));
	return [...buildIds(read, coreMemory(read))];
};

test("only a dumped first page at file offset 0 has one", () => {
	const file = (start: bigint, offset: bigint, path: string) => ({ start, end: start + 0x1000n, offset, path });
	const files = [
		file(0x1000n, 0x1000n, "/second-page"),
		file(0x2000n, 0n, "/clean"),
		file(0x3000n, 0n, "/text"),
		file(0x4000n, 0n, "/bin/counter"),
		file(0x5000n, 0n, "/left-out-by-gdb"),
	];
	const segment = (start: bigint, bytes?: Buffer) => ({
		start,
		end: start + 0x1000n,
		prot: 1,
		...(bytes && { bytes }),
	});
	const text = Buffer.alloc(4096, "text");
	const segments = [segment(0x1000n, first), segment(0x2000n), segment(0x3000n, text), segment(0x4000n, first)];
	expect(ids({ files, segments })).toEqual([["/bin/counter", "1fa8c3a8da07dd6d02edfa3fd553e4d53287246e"]]);
});

test("of two mappings of one file the first that tells counts", () => {
	const rows = [0x1000n, 0x2000n].map((start) => ({ start, end: start + 0x1000n, offset: 0n, path: "/a" }));
	const segments = [
		{ start: 0x1000n, end: 0x2000n, prot: 1 },
		{ start: 0x2000n, end: 0x3000n, prot: 1, bytes: first },
	];
	expect(ids({ files: rows, segments })).toHaveLength(1);
});
