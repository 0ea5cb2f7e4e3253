import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { fromBuffer, openFile } from "../../../src/bytes/source.ts";
import { isDebugOnly } from "../../../src/elf/debug-only.ts";
import { EXE_BUILD_ID, program } from "../../support/builders/pair.ts";
import { refusal } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";
import { hasGcc, hasTool } from "../../support/tools.ts";

const look = (bytes: Buffer): boolean => isDebugOnly(fromBuffer("x", bytes));

it("an object without sections has its code, for all that can be told", () => {
	const bytes = program(EXE_BUILD_ID, 1);
	expect(look(bytes)).toBe(false);
	// a table of sections that lies behind the end, or is of another size
	bytes.writeUInt16LE(64, 58);
	bytes.writeUInt16LE(9, 60);
	for (const at of [0xffff_ffff_ffff_fff0n, 1n << 40n, BigInt(bytes.length) - 10n]) {
		bytes.writeBigUInt64LE(at, 40);
		expect(look(bytes)).toBe(false);
	}
	expect(refusal(() => look(Buffer.from("no object")))).toMatch(/^ERR_CORE_MAGIC/);
});

it.skipIf(!hasGcc() || !hasTool("objcopy"))(
	"separated debug information is told from its program (needs gcc, objcopy)",
	() => {
		const folder = scratch();
		writeFileSync(join(folder, "p.c"), "int main(void) { return 0; }");
		const make = (tool: string, ...args: string[]) => execFileSync(tool, args, { cwd: folder, stdio: "ignore" });
		make("gcc", "-g", "-Wl,--build-id", "-o", "p", "p.c");
		make("objcopy", "--only-keep-debug", "p", "p.debug");
		make("objcopy", "--strip-all", "p", "p.stripped");
		const is = (name: string): boolean => {
			const source = openFile(join(folder, name));
			try {
				return isDebugOnly(source);
			} finally {
				source.close();
			}
		};
		expect(["p", "p.debug", "p.stripped"].map(is)).toEqual([false, true, false]);
	},
);
