import { beforeEach, expect, test, vi } from "vitest";
import { EXE, hostWith, LIBC, patchPair } from "../../support/builders/pair.ts";

const parsed: string[] = [];
beforeEach(() => void parsed.splice(0));

vi.mock("../../../src/elf/build-id.ts", async (original) => {
	const { buildIdOfFile, ...others } = await original<typeof import("../../../src/elf/build-id.ts")>();
	return {
		...others,
		buildIdOfFile: (source: Parameters<typeof buildIdOfFile>[0]) => {
			parsed.push(source.name);
			return buildIdOfFile(source);
		},
	};
});

test("patching opens each file once and parses its build-id once, whoever asks for its symbols and its pages", async () => {
	const host = hostWith();
	const opened: string[] = [];
	const counting = {
		open: (path: string) => {
			opened.push(path);
			return host.open(path);
		},
	};
	await patchPair({}, { host: counting });
	expect(opened.sort()).toEqual([LIBC, EXE]);
	expect(parsed.sort()).toEqual([LIBC, EXE]);
});
