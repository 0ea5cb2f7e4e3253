import { execFileSync, spawnSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	statSync,
	symlinkSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { defaultMaxSize, maxSizeWhileReading, openCoreSource } from "../../../src/raise/open-core.ts";
import { built } from "../../support/lives/built.ts";
import { present } from "../../support/present.ts";
import { refusalOf } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";
import { hasTool } from "../../support/tools.ts";

const MIB = 1 << 20;

/** Bytes like a core's: they begin like one, do not shrink, and have a hole that lies across no boundaries. */
const noise = (count: number): Buffer => {
	const bytes = Buffer.alloc(count);
	let state = 88172645463325252n;
	for (let at = 0; at + 8 <= count; at += 8) {
		state ^= BigInt.asUintN(64, state << 13n);
		state ^= state >> 7n;
		state ^= BigInt.asUintN(64, state << 17n);
		bytes.writeBigUInt64LE(state, at);
	}
	return bytes;
};
const CORE = Buffer.concat([
	Buffer.from("\x7fELF", "latin1"),
	noise(300_000),
	Buffer.alloc(4 * MIB + 5),
	noise(70_000),
	Buffer.alloc(9000),
]);

const options = (folder: string, maxSize = 1n << 30n) => ({ maxSize, tmpdir: folder });

afterEach(() => {
	vi.unstubAllEnvs();
});

/** A core in a folder, and one where it may be unpacked. */
function stage(bytes: Buffer, name = "core"): { path: string; room: string } {
	const folder = scratch();
	const path = join(folder, name);
	writeFileSync(path, bytes);
	return { path, room: scratch() };
}

const packed = (packer: string): Buffer =>
	execFileSync(packer, ["-c", "-q", "-1"], { input: CORE, maxBuffer: 64 * MIB, stdio: ["pipe", "pipe", "ignore"] });

const packers = ["gzip", "zstd", "lz4", "xz", "bzip2"] as const;
const tools = packers.filter((packer) => packer !== "gzip");

describe("a plain core", () => {
	it("is opened where it is, by the name it really has", async () => {
		const { path, room } = stage(CORE);
		const link = join(room, "link");
		symlinkSync(path, link);
		const core = await openCoreSource(link, options(room));
		expect(core).toMatchObject({ temporary: false, name: link });
		expect(core.source).toMatchObject({ name: link, size: BigInt(CORE.length) });
		expect(statSync(`/proc/self/fd/${present(core.source.fd)}`).ino).toBe(statSync(path).ino);
		expect(core.source.read(fileOffset(0), 4)).toEqual(Buffer.from("\x7fELF", "latin1"));
		const { uid, gid } = statSync(path);
		expect(core.owner).toEqual({ uid, gid });
		core.close();
		expect(readdirSync(room)).toEqual(["link"]);
		expect(existsSync(path)).toBe(true);
	});

	it("may be larger than what is unpacked", async () => {
		const { path, room } = stage(CORE);
		const core = await openCoreSource(path, options(room, 10n));
		expect(core.source.size).toBe(BigInt(CORE.length));
		core.close();
	});

	it("may be anything: whoever reads it will say what it is not", async () => {
		const { path, room } = stage(Buffer.from("x"));
		const core = await openCoreSource(path, options(room));
		expect(core.source.size).toBe(1n);
		core.close();
	});

	it("must be a file", async () => {
		const room = scratch();
		execFileSync("mkfifo", [join(room, "fifo")]);
		for (const [name, what] of [
			["fifo", "is a pipe, expected a file; give - and let it be standard input"],
			["", "is a directory, expected a file"],
			["gone", "open failed with ENOENT (no such file)"],
		] as const)
			expect(await refusalOf(openCoreSource(join(room, name), options(room)))).toBe(
				`ERR_IO ${join(room, name)}: ${what}`,
			);
	});
});

describe.each(packers.filter((packer) => packer === "gzip" || hasTool(packer)))("a core packed with %s", (packer) => {
	const bytes = packer === "gzip" ? gzipSync(CORE) : packed(packer);

	it("is unpacked, whatever it is called, into a file of ours with holes", async () => {
		const { path, room } = stage(bytes, "core.txt");
		const done: bigint[] = [];
		const progress = (total: bigint) => ({
			advance: (n: bigint) => void done.push(n),
			end: () => void done.push(-total),
		});
		const core = await openCoreSource(path, { ...options(room), progress });
		expect(core).toMatchObject({ temporary: true, name: path });
		expect(core.source).toMatchObject({ name: path, size: BigInt(CORE.length) });
		const copy = `/proc/self/fd/${present(core.source.fd)}`;
		expect(readFileSync(copy).equals(CORE)).toBe(true);
		expect(statSync(copy)).toMatchObject({ nlink: 0, mode: 0o100600 });
		expect(statSync(copy).blocks * 512).toBeLessThan(MIB);
		expect(() => writeSync(present(core.source.fd), "x")).toThrow(/EBADF/);
		// nobody else finds it, not even while it is open
		expect(readdirSync(room)).toEqual([]);
		expect(done.reduce((a, b) => a + b)).toBe(0n);
		core.close();
		expect(readdirSync(room)).toEqual([]);
	});

	it("is refused where its end is missing, and nothing stays behind", async () => {
		for (const length of [bytes.length - 1, bytes.length >> 1, 12]) {
			const { path, room } = stage(bytes.subarray(0, length));
			const text = await refusalOf(openCoreSource(path, options(room)));
			expect(text).toMatch(
				new RegExp(
					`^ERR_CORE_TRUNCATED ${path}: ends inside its ${packer} data \\(.+\\), expected all of it; copy it again from where it was written$`,
				),
			);
			expect(readdirSync(room)).toEqual([]);
		}
	});

	it("is refused where it is damaged", async () => {
		const damaged = Buffer.from(bytes);
		for (let at = bytes.length >> 1; at < (bytes.length >> 1) + 64; at++) damaged[at] = ~(damaged[at] ?? 0);
		const { path, room } = stage(damaged);
		const text = await refusalOf(openCoreSource(path, options(room)));
		expect(text).toMatch(
			new RegExp(`^ERR_CORE_CORRUPT ${path}: its ${packer} data is damaged \\(.+\\); copy it again`),
		);
		expect(readdirSync(room)).toEqual([]);
	});

	it("may not unpack to more than is allowed, and unpacking ends there", async () => {
		const { path, room } = stage(bytes);
		expect(await refusalOf(openCoreSource(path, options(room, 1_000_000n)))).toBe(
			`ERR_CORE_TOO_LARGE ${path}: unpacks to more than 1000000 bytes, which is the most that is taken; allow more with --max-size`,
		);
		expect(readdirSync(room)).toEqual([]);
		(await openCoreSource(path, options(room, BigInt(CORE.length)))).close();
	});
});

describe("what is packed", () => {
	it("is known as no core by its first bytes", async () => {
		const { path, room } = stage(gzipSync(Buffer.alloc(64 * MIB, 0x41)));
		expect(await refusalOf(openCoreSource(path, options(room)))).toBe(
			`ERR_CORE_MAGIC ${path}: unpacked with gzip, it starts with 41 41 41 41, expected an ELF file (7f 45 4c 46)`,
		);
		expect(readdirSync(room)).toEqual([]);
	});

	it("cannot fill the disk: a bomb of a gigabyte in a megabyte ends at the limit", async () => {
		const zeros = gzipSync(Buffer.concat([Buffer.from("\x7fELF", "latin1"), Buffer.alloc(64 * MIB)]));
		// gzip data may be one piece after another
		const { path, room } = stage(Buffer.concat(Array.from({ length: 16 }, () => zeros)));
		expect(await refusalOf(openCoreSource(path, options(room, 200n << 20n)))).toMatch(/^ERR_CORE_TOO_LARGE /);
		expect(readdirSync(room)).toEqual([]);
	});

	it.each(tools)("with %s needs that program, and says which package has it", async (packer) => {
		const magic = { zstd: "28b52ffd", lz4: "04224d18", xz: "fd377a585a00", bzip2: "425a6839314159265359" }[packer];
		const { path, room } = stage(Buffer.from(`${magic}00000000000000`, "hex"));
		vi.stubEnv("PATH", "");
		expect(await refusalOf(openCoreSource(path, options(room)))).toBe(
			`ERR_HOST ${path}: is compressed with ${packer}, which cannot be run (ENOENT); install it (package ${packer === "xz" ? "xz-utils or xz" : packer}), or give the core unpacked`,
		);
		expect(readdirSync(room)).toEqual([]);
	});

	it("goes to TMPDIR, and a TMPDIR that cannot be used is not passed over", async () => {
		const { path, room } = stage(gzipSync(CORE));
		vi.stubEnv("TMPDIR", room);
		const core = await openCoreSource(path, { maxSize: 1n << 30n });
		expect(readlinkSync(`/proc/self/fd/${present(core.source.fd)}`).startsWith(`${room}/`)).toBe(true);
		core.close();
		vi.stubEnv("TMPDIR", join(room, "gone"));
		expect(await refusalOf(openCoreSource(path, { maxSize: 1n << 30n }))).toBe(
			`ERR_IO ${room}/gone: a file cannot be made there (ENOENT), expected room for the unpacked core; set TMPDIR to a directory on a disk with room`,
		);
	});

	it("is given up when that is asked for", async () => {
		const { path, room } = stage(gzipSync(CORE));
		const abort = new AbortController();
		const opening = openCoreSource(path, { ...options(room), signal: abort.signal });
		abort.abort(new Error("enough"));
		await expect(opening).rejects.toThrow("enough");
		expect(readdirSync(room)).toEqual([]);
	});
});

it("is taken without being asked to 64 times the size, or what is known of it", () => {
	const gib = 1n << 30n;
	expect([0n, 16n, 17n, 100n, 4096n].map((mib) => defaultMaxSize(mib << 20n))).toEqual([
		...[gib, gib, 64n * (17n << 20n), 64n * (100n << 20n), 64n * gib],
	]);
	// what begins with gigabytes of zeros may still be a core
	expect([0n, 15n, 16n, 17n].map((mib) => maxSizeWhileReading(mib << 20n))).toEqual([gib, gib, 64n * gib, 64n * gib]);
});

// folklore: a handler that runs as root stores everybody's cores as root's; systemd-coredump says in the name whose they are
it("whose a core is may be in its name", async () => {
	const { path, room } = stage(CORE);
	const named = join(room, `core.a b.c.1000.${"0123456789abcdef".repeat(2)}.77.1700000000000000`);
	renameSync(path, named);
	chmodSync(named, 0o640);
	const core = await openCoreSource(named, options(room));
	expect(core.owner).toEqual(
		statSync(named).uid === 0 ? { uid: 1000 } : { uid: statSync(named).uid, gid: statSync(named).gid },
	);
	core.close();
});

/** A program that opens standard input as a core and says what it got. */
const opener = (): string => `
import { openCoreSource } from ${JSON.stringify(join(built(), "raise/open-core.js"))};
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
try {
	const core = await openCoreSource("-", { maxSize: 1n << 30n, tmpdir: process.argv[1] });
	const hash = createHash("sha256").update(readFileSync("/proc/self/fd/" + core.source.fd)).digest("hex");
	process.stdout.write([core.name, core.temporary, core.owner.uid, hash].join(" "));
	core.close();
} catch (error) {
	process.stdout.write(error.code + " " + error.message);
}`;
const open = (shell: string, room: string): string =>
	spawnSync("sh", ["-c", shell, "sh", process.execPath, opener(), room], { encoding: "utf8" }).stdout;
const run = '"$1" --input-type=module -e "$2" "$3"';

describe("standard input", () => {
	const hash = execFileSync("sha256sum", { input: CORE, encoding: "utf8" }).slice(0, 64);

	it("may be a pipe, packed or not", () => {
		const { path, room } = stage(CORE);
		const uid = process.getuid?.();
		expect(open(`cat '${path}' | ${run}`, room)).toBe(`standard input true ${uid} ${hash}`);
		expect(open(`gzip -c '${path}' | ${run}`, room)).toBe(`standard input true ${uid} ${hash}`);
		expect(readdirSync(room)).toEqual([]);
	});

	it("may be a file, which is used as it is, also when it has lost its name", () => {
		const { path, room } = stage(CORE);
		const { uid } = statSync(path);
		expect(open(`${run} <'${path}'`, room)).toBe(`standard input false ${uid} ${hash}`);
		expect(open(`exec <'${path}'; rm '${path}'; ${run}`, room)).toBe(`standard input false ${uid} ${hash}`);
		expect(readdirSync(room)).toEqual([]);
	});

	it("is refused at once where it is no core, and where it ends early", () => {
		const { path, room } = stage(gzipSync(CORE).subarray(0, 200_000));
		expect(open(`yes | ${run}`, room)).toBe(
			"ERR_CORE_MAGIC standard input: starts with 79 0a 79 0a, expected an ELF file (7f 45 4c 46)",
		);
		expect(open(`cat '${path}' | ${run}`, room)).toMatch(
			/^ERR_CORE_TRUNCATED standard input: ends inside its gzip data/,
		);
		expect(open(`: | ${run}`, room)).toMatch(/^standard input true /);
		expect(readdirSync(room)).toEqual([]);
	});
});
