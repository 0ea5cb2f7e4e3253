import { spawnSync } from "node:child_process";
import fs, { existsSync, fstatSync, readdirSync, writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { O } from "../../../src/linux/open.ts";
import { makeTemporaryFile } from "../../../src/raise/temporary-file.ts";
import { built } from "../../support/lives/built.ts";
import { present } from "../../support/present.ts";
import { scratch } from "../../support/scratch.ts";
import { need } from "../../support/tools.ts";

let module = "";
beforeAll(() => {
	module = JSON.stringify(join(built(), "raise/temporary-file.js"));
});

describe("a temporary file", () => {
	it("holds what was written, in pieces of any length, and zeros as holes", () => {
		const pieces = [1, 4095, 5000, 12_288, 3, 100_000, 0, 8192].map((length, i) =>
			Buffer.alloc(length, i % 2 === 0 ? i + 1 : 0),
		);
		const whole = Buffer.concat(pieces);
		const file = makeTemporaryFile("core", scratch());
		for (const piece of pieces) file.append(piece);
		expect(file.size).toBe(BigInt(whole.length));
		const source = file.asSource();
		expect(source.size).toBe(BigInt(whole.length));
		expect(source.read(fileOffset(0), whole.length)?.equals(whole)).toBe(true);
		source.close();
		file.close();
	});

	it("may be nothing but holes", () => {
		const file = makeTemporaryFile("core", scratch());
		for (let i = 0; i < 64; i++) file.append(Buffer.alloc(100_001));
		const source = file.asSource();
		expect(source.size).toBe(6_400_064n);
		expect(fstatSync(present(source.fd)).blocks).toBe(0);
		source.close();
		file.close();
	});

	it("has no name at any moment, and is there for who has it open after it is closed", () => {
		const room = scratch();
		const file = makeTemporaryFile("core", room);
		expect(readdirSync(room)).toEqual([]);
		file.append(Buffer.from("abc"));
		const source = file.asSource();
		expect(readdirSync(room)).toEqual([]);
		file.close();
		expect(source.read(fileOffset(0), 3)?.toString()).toBe("abc");
		expect(() => writeSync(present(source.fd), "x")).toThrow(/EBADF/);
		source.close();
	});

	it("is made all the same where every file has a name to begin with, and loses that before it holds anything", () => {
		const room = scratch();
		const { openSync } = fs;
		const made: string[] = [];
		fs.openSync = (path, flags, mode) => {
			if ((Number(flags) & O.TMPFILE) === O.TMPFILE)
				throw Object.assign(new Error("open"), { code: "EOPNOTSUPP", syscall: "open" });
			const fd = openSync(path, flags, mode);
			if (String(path).startsWith(`${room}/`)) made.push(String(path));
			return fd;
		};
		syncBuiltinESMExports();
		try {
			const file = makeTemporaryFile("core", room);
			expect(made).toEqual([expect.stringMatching(/\/necromancer-core-[0-9a-f]{16}$/)]);
			expect(readdirSync(room)).toEqual([]);
			file.append(Buffer.from("abc"));
			const source = file.asSource();
			expect(source.read(fileOffset(0), 3)?.toString()).toBe("abc");
			expect(() => writeSync(present(source.fd), "x")).toThrow(/EBADF/);
			source.close();
		} finally {
			fs.openSync = openSync;
			syncBuiltinESMExports();
		}
	});

	const mounts = need("root and unshare", spawnSync("unshare", ["-m", "true"]).status === 0);
	it.skipIf(!mounts)("says how much room there is when there is none left (needs root)", () => {
		const room = scratch();
		const program = `import { makeTemporaryFile } from ${module};
			const file = makeTemporaryFile("core.xz", process.argv[1]);
			try { for (;;) file.append(Buffer.alloc(30_000, 1)); } catch (error) { process.stdout.write(error.code + " " + error.message); }
			file.close();`;
		const shell = 'mount -t tmpfs -o size=128k none "$1" && "$2" --input-type=module -e "$3" "$1" && ls -A "$1"';
		const { stdout } = spawnSync("unshare", ["-m", "sh", "-c", shell, "sh", room, process.execPath, program], {
			encoding: "utf8",
		});
		expect(stdout).toBe(
			`ERR_IO core.xz: ${room} has no room for more than 120000 bytes of it (0 bytes are free), expected to unpack it there; make room, or set TMPDIR to a directory that has it`,
		);
		expect(existsSync(present(room))).toBe(true);
	});
});
