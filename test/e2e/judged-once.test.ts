import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test, vi } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { objectsIn } from "../../src/raise/found-objects.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { relocate } from "../../src/understand/relocate.ts";
import { buildCore } from "../support/builders/core-builder.ts";
import { deadCore, EXE, EXE_BUILD_ID, LIBC, LIBC_BUILD_ID, program } from "../support/builders/pair.ts";
import { understoodAlone } from "../support/builders/understood.ts";
import { openMapped } from "../support/lives/open-mapped.ts";
import { scratch } from "../support/scratch.ts";

const parsed: string[] = [];

vi.mock("../../src/elf/build-id.ts", async (original) => {
	const { buildIdOfFile, ...others } = await original<typeof import("../../src/elf/build-id.ts")>();
	return {
		...others,
		buildIdOfFile: (source: Parameters<typeof buildIdOfFile>[0]) => {
			parsed.push(source.name);
			return buildIdOfFile(source);
		},
	};
});

test("raising parses each build-id once: the symbol readers have the verdict that the judge gave", async () => {
	const sysroot = scratch();
	for (const [path, bytes] of [
		[EXE, program(EXE_BUILD_ID, 0x10)],
		[LIBC, program(LIBC_BUILD_ID, 0x20)],
	] as const) {
		mkdirSync(dirname(join(sysroot, path)), { recursive: true });
		writeFileSync(join(sysroot, path), bytes);
	}
	const whole = taskFromCore(readCore(fromBuffer("core", buildCore(deadCore()))));
	const asked: string[] = [];
	await openMapped(whole, {
		sysroot,
		use: (files, found) => {
			const open = objectsIn(files, found);
			understoodAlone(relocate(whole, found), {
				open: (path) => {
					asked.push(path);
					return open(path);
				},
			});
		},
	});
	expect(asked).toContain(join(sysroot, LIBC));
	expect(parsed.sort()).toEqual([join(sysroot, LIBC), join(sysroot, EXE)]);
});
