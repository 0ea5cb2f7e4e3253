import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { agentElf } from "../../../src/agent/agent-elf.ts";
import { blob } from "../../../src/agent/blob.ts";
import { AGENT_ROOM, agentLayout, blobPage } from "../../../src/agent/layout.ts";
import { address } from "../../../src/bytes/address.ts";
import { scratch } from "../../support/scratch.ts";
import { hasTool } from "../../support/tools.ts";

const at = address(0x2000_0000_0000n);

describe("agentElf", () => {
	it("is two pages: headers, and the blob with an empty list at its end", () => {
		const elf = agentElf(blob, at, 0x1_0000n);
		expect(elf.length).toBe(8192);
		expect(elf.subarray(4096, 4096 + blob.bytes.length)).toEqual(Buffer.from(blob.bytes));
		expect(elf.readUInt16LE(8192 - 72)).toBe(0xff00);
		expect(elf.subarray(4096 + blob.bytes.length, 8192 - 72).every((byte) => byte === 0)).toBe(true);
	});

	it("refuses a blob that leaves no room in its page", () => {
		const bytes = new Uint8Array(4096 - 71);
		expect(() => blobPage({ ...blob, bytes })).toThrow("a blob of 4025 bytes, more than 4024");
	});

	it.skipIf(!hasTool("readelf"))("is what readelf takes for a program at a place (needs readelf)", () => {
		const file = join(scratch(), "agent");
		writeFileSync(file, agentElf({ ...blob, symbols: { ...blob.symbols, agent: 16 } }, at, 0x1_0000n));
		const text = execFileSync("readelf", ["-hlW", file], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
		expect(text).toMatch(/Type:\s+EXEC/);
		expect(text).toMatch(/Machine:\s+Advanced Micro Devices X86-64/);
		expect(text).toMatch(/Entry point address:\s+0x200000000010/);
		expect(text).toMatch(/Number of program headers:\s+2/);
		expect(text).toMatch(
			/LOAD\s+0x001000 0x0000200000000000 0x0000200000000000 0x001000 0x010000 RWE 0x1000\n\s+GNU_STACK\s+0x000000 0x0+ 0x0+ 0x000000 0x000000 RW\s+0x10\n/,
		);
	});
});

describe("roomIn", () => {
	it("divides the beginning of a hole, without overlaps", () => {
		const room = agentLayout({ start: at, end: address(at + AGENT_ROOM + 4096n) });
		expect(room).toEqual({
			blob: at,
			nothing: at + 4096n - 72n,
			stack: { start: at + 0x1000n, end: at + 0x3000n },
			batches: { start: at + 0x3000n, end: at + 0x3_4000n },
			undo: [
				{ start: at + 0x3_4000n, end: at + 0x3_a000n },
				{ start: at + 0x3_a000n, end: at + 0x4_0000n },
			],
			free: { start: at + 0x4_0000n, end: at + 0x4_1000n },
		});
	});

	it("refuses a hole that has no room besides", () => {
		expect(() => agentLayout({ start: at, end: address(at + AGENT_ROOM) })).toThrow(
			"a hole of 262144 bytes has no room",
		);
	});
});
