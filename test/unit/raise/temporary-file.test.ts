import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { makeTemporaryFile } from "../../../src/raise/temporary-file.ts";
import { soon } from "../../support/living.ts";
import { present } from "../../support/present.ts";
import { scratch } from "../../support/scratch.ts";
import { need } from "../../support/tools.ts";

const built = JSON.stringify(join(import.meta.dirname, "../../../dist/raise/temporary-file.js"));

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
		expect(statSync(file.path).blocks).toBe(0);
		source.close();
		file.close();
	});

	it("loses its name when it is closed, and is still there for who has it open", () => {
		const room = scratch();
		const file = makeTemporaryFile("core", room);
		file.append(Buffer.from("abc"));
		const source = file.asSource();
		file.close();
		expect(readdirSync(room)).toEqual([]);
		expect(source.read(fileOffset(0), 3)?.toString()).toBe("abc");
		source.close();
		file.close();
	});

	it.each(["SIGKILL", "SIGINT", "SIGTERM"] as const)(
		"goes when its maker dies of %s (needs a build)",
		async (signal) => {
			const room = scratch();
			const program = `import { makeTemporaryFile } from ${built};
			const file = makeTemporaryFile("core", process.argv[1]); file.append(Buffer.from("abc"));
			process.stdout.write(file.path); setInterval(() => {}, 1000);`;
			const child = spawn(process.execPath, ["--input-type=module", "-e", program, room], {
				stdio: ["ignore", "pipe", "inherit"],
			});
			const path = await new Promise<string>((done) =>
				child.stdout.once("data", (bytes: Buffer) => done(bytes.toString())),
			);
			expect(readFileSync(path, "utf8")).toBe("abc");
			child.kill(signal);
			await new Promise((done) => child.once("close", done));
			expect(await soon(() => readdirSync(room).length === 0)).toBe(true);
		},
	);

	it("goes when its maker ends without a shell at hand, and keeps nobody from ending (needs a build)", () => {
		const room = scratch();
		const program = `import { makeTemporaryFile } from ${built}; makeTemporaryFile("core", process.argv[1]);`;
		const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program, room], {
			encoding: "utf8",
			env: { PATH: "" },
		});
		expect([status, stderr]).toEqual([0, ""]);
		expect(readdirSync(room)).toEqual([]);
	});

	const mounts = need("root and unshare", spawnSync("unshare", ["-m", "true"]).status === 0);
	it.skipIf(!mounts)("says how much room there is when there is none left (needs root, a build)", () => {
		const room = scratch();
		const program = `import { makeTemporaryFile } from ${built};
			const file = makeTemporaryFile("core.xz", process.argv[1]);
			try { for (;;) file.append(Buffer.alloc(30_000, 1)); } catch (error) { process.stdout.write(error.code + " " + error.message); }
			file.close();`;
		const shell = 'mount -t tmpfs -o size=128k none "$1" && "$2" --input-type=module -e "$3" "$1" && ls -A "$1"';
		const { stdout } = spawnSync("unshare", ["-m", "sh", "-c", shell, "sh", room, process.execPath, program], {
			encoding: "utf8",
		});
		expect(stdout.replace(/necromancer-core-\w+/, "X")).toBe(
			`ERR_IO core.xz: ${room}/X has no room for more than 120000 bytes of it (0 bytes are free), expected to unpack it there; make room, or set TMPDIR to a directory that has it`,
		);
		expect(existsSync(present(room))).toBe(true);
	});
});
