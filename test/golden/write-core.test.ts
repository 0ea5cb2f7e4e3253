import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { xstateLayoutFromNote } from "../../src/arch/x86-64/xstate.ts";
import { heldPlaced } from "../../src/bytes/extent.ts";
import { createFile } from "../../src/bytes/sink.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { type Core, readCore } from "../../src/core/core.ts";
import type { NewCore } from "../../src/core/new-core.ts";
import { writeCore } from "../../src/core/write.ts";
import { fixtureCore, fixtureNames, fixtureOrigin } from "../support/builders/fixture-core.ts";
import { scratch } from "../support/scratch.ts";
import { readRawCore } from "../support/witness/core-reader.ts";

// The witness is the kernel: what it wrote, read by us and written by us, is what it wrote, byte for byte.

function draftOf(core: Core, bytes: Buffer): NewCore {
	const layout = readRawCore(bytes).notes.find(({ type }) => type === 0x205);
	return {
		...core,
		process: core.process ?? expect.unreachable(),
		...(layout && { xstate: xstateLayoutFromNote(layout.desc, "layout") }),
		segments: core.segments.map((segment) => ({
			...{ start: segment.start, end: segment.end, prot: segment.prot, fileSize: segment.available },
			contents: segment.available === 0n ? [] : [heldPlaced(segment)],
		})),
	};
}

const kernels = fixtureNames.filter((name) => fixtureOrigin(name).death !== "gcore");

describe("a core of the kernel, read and written", () => {
	test.each(kernels)("%s is the same", async (name) => {
		const bytes = fixtureCore(name);
		const path = join(scratch(), "core");
		const sink = createFile(path);
		const { size } = await writeCore(draftOf(readCore(fromBuffer("core", bytes)), bytes), sink);
		sink.close();
		expect(size).toBe(BigInt(bytes.length));
		expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
	});
});
