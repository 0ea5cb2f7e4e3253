import { execFileSync } from "node:child_process";
import fs, {
	chmodSync,
	chownSync,
	closeSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openOutput } from "../../src/bytes/output-file.ts";
import { createFile } from "../../src/bytes/sink.ts";
import { O_PATH, openFile } from "../../src/bytes/source.ts";
import { openCoreSource } from "../../src/raise/open-core.ts";
import { refusal } from "../support/refusal.ts";
import { quickScratch, scratch } from "../support/scratch.ts";

// What --pidfile and -o name may be anything that somebody else has put there.

const THEM = 1000;
const isRoot = process.geteuid?.() === 0;

const written = (path: string, text = "77\n"): string => {
	const file = openOutput(path);
	file.write(text);
	file.close();
	file.close();
	return readFileSync(path, "utf8");
};

test("a new file, one of ours, or a device is written", () => {
	const path = join(scratch(), "pid");
	expect(written(path)).toBe("77\n");
	expect(written(path, "8\n")).toBe("8\n");
	written("/dev/null");
	const full = openOutput("/dev/full");
	expect(refusal(() => full.write("77\n"))).toBe("ERR_IO /dev/full: the disk is full; make room and run it again");
	full.close();
});

test("a descriptor of ours goes by its usual names", () => {
	const path = join(scratch(), "pid");
	const fd = openSync(path, "w");
	const file = openOutput(`/dev/fd/${fd}`);
	file.write("77\n");
	file.close();
	closeSync(fd);
	expect(readFileSync(path, "utf8")).toBe("77\n");
});

describe("nothing else is opened", () => {
	const rest = "expected a file to write, or none; name another";
	test.each<[string, (path: string) => void]>([
		["a FIFO", (path) => void execFileSync("mkfifo", [path])],
		["a directory", (path) => mkdirSync(path)],
		["a link", (path) => symlinkSync("precious", path)],
	])("%s", (what, make) => {
		const base = scratch();
		writeFileSync(join(base, "precious"), "data");
		make(join(base, "pid"));
		expect(refusal(() => openOutput(join(base, "pid")))).toBe(`ERR_IO ${join(base, "pid")}: is ${what}, ${rest}`);
		expect(readFileSync(join(base, "precious"), "utf8")).toBe("data");
	});

	test("a file with another name", () => {
		const base = scratch();
		writeFileSync(join(base, "precious"), "data");
		linkSync(join(base, "precious"), join(base, "pid"));
		expect(refusal(() => openOutput(join(base, "pid")))).toBe(
			`ERR_OWNER ${join(base, "pid")}: has 2 names, expected a file of our own, or none; remove it, or name another`,
		);
		expect(readFileSync(join(base, "precious"), "utf8")).toBe("data");
	});

	test.skipIf(!isRoot)("another user's file in a place for all (needs root)", () => {
		const base = quickScratch();
		chmodSync(base, 0o1777);
		const path = join(base, "pid");
		writeFileSync(path, "theirs");
		chownSync(path, THEM, THEM);
		expect(refusal(() => openOutput(path))).toMatch(/^ERR_OWNER .*pid: belongs to user 1000, /);
		expect(readFileSync(path, "utf8")).toBe("theirs");
	});

	test.skipIf(!isRoot)("root's own, where another user may have moved it (needs root)", () => {
		const base = quickScratch();
		chownSync(base, THEM, THEM);
		const path = join(base, "pid");
		writeFileSync(path, "root's");
		expect(refusal(() => openOutput(path))).toMatch(
			/^ERR_OWNER .*pid: is there already, in a directory that another user can change, /,
		);
		expect(readFileSync(path, "utf8")).toBe("root's");
		// a new one is ours
		written(`${path}2`);
		expect(lstatSync(`${path}2`).uid).toBe(0);
	});

	test.skipIf(!isRoot)("what is behind another user's link (needs root)", () => {
		const base = quickScratch();
		const home = join(base, "home");
		mkdirSync(home);
		symlinkSync(base, join(home, "way"));
		chownSync(home, THEM, THEM);
		execFileSync("chown", ["-h", `${THEM}`, join(home, "way")]);
		expect(refusal(() => openOutput(join(home, "way", "pid")))).toMatch(/^ERR_OWNER .*way on the way there is a link/);
	});
});

describe("what is closed twice closes nobody else's", () => {
	/** Opens something else under the number that was free, and closes the first again. */
	const again = (close: () => void): void => {
		close();
		const [a, b] = [openSync("/dev/null", "r"), openSync("/dev/null", "r")];
		close();
		for (const fd of [a, b]) closeSync(fd);
	};

	test("a file, a new file", () => {
		const path = join(scratch(), "file");
		again(createFile(path).close);
		again(openFile(path).close);
	});

	test("a core", async () => {
		const path = join(scratch(), "core");
		writeFileSync(path, "\x7fELF and so on");
		const core = await openCoreSource(path, { maxSize: 1n << 20n });
		again(core.close);
		again(core.source.close);
		execFileSync("gzip", [path]);
		const packed = await openCoreSource(`${path}.gz`, { maxSize: 1n << 20n });
		again(packed.close);
	});
});

test("what is no file is looked at, and not opened: a device acts when it is", () => {
	const base = scratch();
	execFileSync("mkfifo", [join(base, "fifo")]);
	const real = fs.openSync;
	const opened: number[] = [];
	fs.openSync = (path, flags, mode) => {
		opened.push(Number(flags));
		return real(path, flags, mode);
	};
	syncBuiltinESMExports();
	try {
		for (const path of ["/dev/null", join(base, "fifo")])
			expect(refusal(() => openFile(path))).toBe(`ERR_IO ${path}: is no regular file, expected a file`);
	} finally {
		fs.openSync = real;
		syncBuiltinESMExports();
	}
	expect(opened.map((flags) => flags & O_PATH)).toEqual([O_PATH, O_PATH]);
});
