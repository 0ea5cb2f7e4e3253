import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { once } from "../../../src/bytes/once.ts";
import { openAround, openDirectory } from "../../../src/bytes/open-directory.ts";
import { openOutput } from "../../../src/bytes/output-file.ts";
import { createFile } from "../../../src/bytes/sink.ts";
import { openFile } from "../../../src/bytes/source.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { lock } from "../../../src/criu/store/lock.ts";
import { hostFiles } from "../../../src/patch/host-files.ts";
import { openCoreSource } from "../../../src/raise/open-core.ts";
import { makeTemporaryFile } from "../../../src/raise/temporary-file.ts";
import { openMemory } from "../../../src/trace/process-memory.ts";
import { fixturePath } from "../../support/builders/fixture-core.ts";
import { scratch } from "../../support/scratch.ts";

describe("what holds a descriptor gives it back once, and never closes what has got its number since", () => {
	const place = (bytes: Uint8Array = Buffer.from("\x7fELF", "latin1")): string => {
		const path = join(scratch(), "core");
		writeFileSync(path, bytes);
		return path;
	};
	type Close = () => void;
	const holders: readonly (readonly [string, () => Close | Promise<Close>])[] = [
		["a source", () => openFile(place()).close],
		["a file that is written", () => createFile(join(scratch(), "new")).close],
		["a file that the user names", () => openOutput(join(scratch(), "log")).close],
		["a directory", () => openDirectory(scratch()).close],
		["a directory around a name", () => openAround(join(scratch(), "name")).directory.close],
		["images", () => openImageDir(fixturePath("counter/images")).close],
		["a lock", () => lock(scratch()).release],
		["a temporary file", () => makeTemporaryFile("core", scratch()).close],
		["what is read of a temporary file", () => makeTemporaryFile("core", scratch()).asSource().close],
		["a core", async () => (await openCoreSource(place(), {})).close],
		[
			"an unpacked core",
			async () =>
				(await openCoreSource(place(gzipSync(Buffer.from("\x7fELF", "latin1"))), { tmpdir: scratch() })).close,
		],
		["a process's memory", () => openMemory(process.pid).close],
		[
			"this host's files",
			() => {
				const host = hostFiles();
				host.open(process.execPath);
				return host.close;
			},
		],
	];

	it.each(holders)("%s", async (_, open) => {
		const numbers = (): string[] => readdirSync("/proc/self/fd");
		const before = numbers();
		const close = await open();
		expect(numbers().length).toBeGreaterThan(before.length);
		close();
		expect(numbers()).toEqual(before);
		// whoever comes next gets the lowest numbers
		const taken = Array.from({ length: 8 }, () => openSync("/dev/null", "r"));
		try {
			close();
			for (const fd of taken) expect(fstatSync(fd).isCharacterDevice()).toBe(true);
		} finally {
			for (const fd of taken) closeSync(fd);
		}
	});

	it("a lock leaves alone what has got its name since", () => {
		const path = scratch();
		const held = lock(path);
		const [name = ""] = readdirSync(path);
		held.release();
		mkdirSync(join(path, name));
		held.release();
		expect(readdirSync(path)).toEqual([name]);
	});
});

describe("once", () => {
	it("does it once, and gives everybody what came of it", async () => {
		let times = 0;
		const work = once(async () => ++times);
		expect(work()).toBe(work());
		expect([await work(), await work(), times]).toEqual([1, 1, 1]);
	});
});
