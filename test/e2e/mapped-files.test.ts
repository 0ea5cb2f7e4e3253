import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import type { PartialTask } from "../../src/forest/partial-task.ts";
import type { FoundFiles } from "../../src/raise/mapped-files.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { type BuiltCore, buildCore } from "../support/builders/core-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	debugOnly,
	EXE,
	EXE_BUILD_ID,
	filled,
	LIBC,
	LIBC_BUILD_ID,
	P,
	program,
	withSegment,
} from "../support/builders/pair.ts";
import { openMapped, type SearchCase } from "../support/lives/open-mapped.ts";
import { refusalOf } from "../support/refusal.ts";
import { scratch } from "../support/scratch.ts";
import { need } from "../support/tools.ts";

const { libc } = deadPlaces;
const DATA = "/usr/share/data";
const DATA_AT = 0x7f20_0000_0000n;
const OTHER_ID = "0123456789abcdef0123456789abcdef01234567";

const dead = (core: BuiltCore = deadCore()): PartialTask =>
	taskFromCore(readCore(fromBuffer("core.7", buildCore(core))));

/** Puts files where they are looked for; what a directory cannot be made for is a mistake of the test. */
function place(root: string, files: Readonly<Record<string, Buffer>>): string {
	for (const [path, bytes] of Object.entries(files)) {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		writeFileSync(join(root, path), bytes);
	}
	return root;
}

const exeFile = program(EXE_BUILD_ID, 0x10);
const libcFile = program(LIBC_BUILD_ID, 0x20);
const both = { [EXE]: exeFile, [LIBC]: libcFile };

const find = (core: BuiltCore | undefined, search: SearchCase): Promise<FoundFiles> => openMapped(dead(core), search);
const texts = ({ findings }: FoundFiles): string[] =>
	findings.map(({ weight, code, subject, text }) => `${weight} ${code} ${subject}: ${text}`);
const refused = (core: BuiltCore | undefined, search: SearchCase): Promise<string> => refusalOf(find(core, search));

/** The core with all of libc's text in it. */
const withText = (core: BuiltCore = deadCore()): BuiltCore =>
	changeSegment(core, libc + P, (segment) => ({ ...segment, bytes: filled(0x20, 2) }));

const withData = (
	more: Partial<{ bytes: Buffer; prot: number; path: string; offset: bigint; pages: bigint }> = {},
): BuiltCore => {
	const { bytes, prot = 1, path = DATA, offset = 0n, pages = 2n } = more;
	const segment = { start: DATA_AT, end: DATA_AT + pages * P, prot, ...(bytes === undefined ? {} : { bytes }) };
	return withSegment(deadCore(), segment, { path, offset });
};

const WAYS =
	"name it with --map-file OLD=NEW, its tree with --sysroot DIR, or a directory that has it with --search DIR";

describe("where files are found", () => {
	it("by their paths, below a sysroot", async () => {
		const sysroot = place(scratch(), both);
		expect(await find(undefined, { sysroot })).toEqual({
			found: new Map([
				[EXE, join(sysroot, EXE)],
				[LIBC, join(sysroot, LIBC)],
			]),
			gone: new Set(),
			others: new Set(),
			sizes: expect.any(Map),
			verdicts: expect.any(Map),
			findings: [],
		});
	});

	it("files of debug information, where nothing but that was mapped of them", async () => {
		const debug = debugOnly(OTHER_ID);
		const sysroot = place(scratch(), { ...both, [DATA]: debug });
		const data = { bytes: debug.subarray(0, 4096), pages: 1n };
		expect((await find(withData(data), { sysroot })).found.get(DATA)).toBe(join(sysroot, DATA));
		const code = withSegment(
			withData(data),
			{ start: DATA_AT + P, end: DATA_AT + 2n * P, prot: 5 },
			{ path: DATA, offset: P },
		);
		expect(await refused(code, { sysroot })).toBe(
			`ERR_BINARY_MISMATCH ${DATA}: holds debug information only at ${join(sysroot, DATA)}, expected the code too; ${WAYS}, or insist with --allow-mismatch`,
		);
	});

	it("by the names they really have", async () => {
		const sysroot = place(scratch(), { "/real/prog": exeFile, [LIBC]: libcFile });
		symlinkSync("/real/prog", join(sysroot, EXE));
		const link = join(scratch(), "link");
		symlinkSync(sysroot, link);
		expect((await find(undefined, { sysroot: link })).found.get(EXE)).toBe(join(sysroot, "real/prog"));
	});

	it("as they are named, which goes before everything and need not be below the sysroot", async () => {
		const sysroot = place(scratch(), both);
		const elsewhere = join(place(scratch(), { "/new": libcFile }), "new");
		const { found } = await find(undefined, { sysroot, mapFiles: new Map([[LIBC, elsewhere]]) });
		expect(found.get(LIBC)).toBe(elsewhere);
	});

	it("by build-id, where the path has nothing or another build", async () => {
		const sysroot = place(scratch(), { [LIBC]: program(OTHER_ID, 9) });
		const search = place(scratch(), { "/a/prog": exeFile, "/b/libc": libcFile });
		expect(await find(undefined, { sysroot, search: [search] })).toEqual({
			found: new Map([
				[EXE, join(search, "a/prog")],
				[LIBC, join(search, "b/libc")],
			]),
			gone: new Set(),
			others: new Set(),
			sizes: expect.any(Map),
			verdicts: expect.any(Map),
			findings: [],
		});
	});

	it("not outside of the sysroot, not in FIFOs or directories, not among devices", async () => {
		const outside = join(place(scratch(), { "/x": libcFile }), "x");
		const ways: readonly ((path: string) => void)[] = [
			(path) => symlinkSync(outside, path),
			(path) => execFileSync("mkfifo", [path]),
			(path) => mkdirSync(path),
			(path) => symlinkSync("/dev/sub/x", path),
		];
		for (const [i, make] of ways.entries()) {
			const sysroot = place(scratch(), { [EXE]: exeFile, "/dev/sub/x": libcFile });
			make(join(sysroot, LIBC));
			expect(await refused(undefined, { sysroot })).toBe(
				`ERR_BINARY_MISSING ${LIBC}: ${i === 0 ? "is not here" : "is no regular file here"}, expected it: 8192 of 16384 bytes mapped of it are not in the core; ${WAYS}`,
			);
		}
	});
});

describe("what is not looked for", () => {
	it.each([
		"/memfd:jit (deleted)",
		"/dev/zero (deleted)",
		"/SYSV00000001 (deleted)",
		"/dev/dri/card0",
		"/sys/x/resource0",
		"/proc/1/mem",
		"anon_inode:[x]",
	])("%s", async (path) => {
		const sysroot = place(scratch(), both);
		expect([...(await find(withData({ path }), { sysroot })).found.keys()]).toEqual([EXE, LIBC]);
	});

	it("a file of the same path as a deleted one, unless its build-id proves it", async () => {
		const core = deadCore();
		const files = (core.files ?? []).map((row) => (row.path === LIBC ? { ...row, path: `${LIBC} (deleted)` } : row));
		const sysroot = place(scratch(), { [EXE]: exeFile, [LIBC]: program(OTHER_ID, 9) });
		expect(await find({ ...core, files }, { sysroot })).toMatchObject({
			found: new Map([[EXE, join(sysroot, EXE)]]),
			gone: new Set(),
		});
		const search = place(scratch(), { "/old/libc": libcFile });
		expect((await find({ ...core, files }, { sysroot, search: [search] })).found.get(LIBC)).toBe(
			join(search, "old/libc"),
		);
		expect((await find({ ...core, files }, { sysroot, allowMismatch: true })).found.has(LIBC)).toBe(false);
		writeFileSync(join(sysroot, LIBC), libcFile);
		expect((await find({ ...core, files }, { sysroot })).found.get(LIBC)).toBe(join(sysroot, LIBC));
	});
});

describe("files that differ or are missing", () => {
	it("are all named at once, with what was found and what was expected", async () => {
		const sysroot = place(scratch(), { [EXE]: program(OTHER_ID, 1) });
		expect(await refused(undefined, { sysroot })).toBe(
			`ERR_BINARY_MISMATCH 2 mapped files: ${EXE} has build-id ${OTHER_ID} at ${join(sysroot, EXE)} (expected ${EXE_BUILD_ID}), ` +
				`${LIBC} is not here (expected it: 8192 of 16384 bytes mapped of it are not in the core); ${WAYS}, or insist with --allow-mismatch`,
		);
	});

	it("may be taken all the same, if they are there", async () => {
		const sysroot = place(scratch(), { [EXE]: program(OTHER_ID, 1), [LIBC]: libcFile });
		const found = await find(undefined, { sysroot, allowMismatch: true });
		expect(found.found.get(EXE)).toBe(join(sysroot, EXE));
		expect(found.others).toEqual(new Set([EXE]));
		expect(texts(found)).toEqual([
			`loss binary-differs ${EXE}: has build-id ${OTHER_ID} at ${join(sysroot, EXE)}, expected ${EXE_BUILD_ID}; taken all the same`,
		]);
		unlinkSync(join(sysroot, LIBC));
		expect(await refused(undefined, { sysroot, allowMismatch: true })).toMatch(/^ERR_BINARY_MISSING \/opt\/libc/);
	});

	it("are no objects any more, or too short for what was mapped", async () => {
		const sysroot = place(scratch(), { [EXE]: Buffer.from("#!/bin/sh"), [LIBC]: libcFile.subarray(0, 9000) });
		expect(await refused(undefined, { sysroot })).toBe(
			`ERR_BINARY_MISMATCH 2 mapped files: ${EXE} has build-id none at ${join(sysroot, EXE)} (expected ${EXE_BUILD_ID}), ` +
				`${LIBC} has 9000 bytes at ${join(sysroot, LIBC)} (expected more: it was mapped up to byte 16384); ${WAYS}, or insist with --allow-mismatch`,
		);
	});

	it("come from the core, if it has all of them", async () => {
		const sysroot = place(scratch(), { [EXE]: exeFile });
		const absent = await find(withText(), { sysroot });
		expect(absent.gone).toEqual(new Set([LIBC]));
		expect(texts(absent)).toEqual([
			`note file-gone ${LIBC}: is not here; all 16384 bytes that were mapped are in the core and become private memory`,
		]);
		place(sysroot, { [LIBC]: program(OTHER_ID, 1) });
		for (const allowMismatch of [false, true]) {
			const differs = await find(withText(), { sysroot, allowMismatch });
			expect(differs.gone).toEqual(new Set([LIBC]));
			expect(texts(differs)).toEqual([
				`note file-gone ${LIBC}: has build-id ${OTHER_ID} at ${join(sysroot, LIBC)}, expected ${LIBC_BUILD_ID}; all 16384 bytes that were mapped are in the core and become private memory`,
			]);
		}
	});

	// folklore: processors with protection keys keep a program's execute-only text from the dumper, which writes zeros
	it("do not come from the core where it has zeros in the place of execute-only text", async () => {
		const core = changeSegment(withText(), libc + P, (segment) => ({ ...segment, prot: 4 }));
		expect(await refused(core, { sysroot: place(scratch(), { [EXE]: exeFile }) })).toMatch(
			/^ERR_BINARY_MISSING \/opt\/libc.so.6: is not here, expected it: 8192 of 16384 bytes/,
		);
	});

	it("need not have what was inaccessible", async () => {
		const core = withSegment(
			withText(),
			{ start: libc + 4n * P, end: libc + 128n * P, prot: 0 },
			{ path: LIBC, offset: 4n * P },
		);
		const there = place(scratch(), both);
		expect(await find(core, { sysroot: there })).toMatchObject({ gone: new Set(), findings: [] });
		expect((await find(core, { sysroot: place(scratch(), { [EXE]: exeFile }) })).gone).toEqual(new Set([LIBC]));
	});
});

describe("files without a build-id", () => {
	const bare = (byte: number): Buffer => {
		const bytes = program("00", byte);
		// its note belongs to somebody else now
		bytes.write("XXX", 132, "latin1");
		return bytes;
	};
	const core = (): BuiltCore =>
		changeSegment(deadCore(), libc, (segment) => ({ ...segment, bytes: bare(1).subarray(0, 4096) }));

	it("are told by their headers, if they are objects", async () => {
		const sysroot = place(scratch(), { [EXE]: exeFile, [LIBC]: bare(7) });
		expect(texts(await find(core(), { sysroot }))).toEqual([
			`caution file-unverified ${LIBC}: the file at ${join(sysroot, LIBC)} has the same program headers, and the core has no build-id to tell more by`,
		]);
		const other = bare(7);
		other.writeBigUInt64LE(0x1234n, 24);
		writeFileSync(join(sysroot, LIBC), other);
		expect(await refused(core(), { sysroot })).toBe(
			`ERR_BINARY_MISMATCH ${LIBC}: has other program headers at ${join(sysroot, LIBC)}, expected those in the core, which has no build-id of it; ${WAYS}, or insist with --allow-mismatch`,
		);
	});

	it("are taken as they are, if they are data, and that is said", async () => {
		const sysroot = place(scratch(), { ...both, [DATA]: filled(1, 2) });
		const path = join(sysroot, DATA);
		utimesSync(path, 1000, 1000);
		const doubt = `${DATA}: nothing in the core tells whether the file at ${path} is the one that was mapped`;
		expect(texts(await find(withData(), { sysroot, writtenAt: 2_000_000_000_000n }))).toEqual([
			`caution file-unverified ${doubt}`,
		]);
		expect(texts(await find(withData(), { sysroot, writtenAt: 999_000_000_000n }))).toEqual([
			`caution file-unverified ${doubt}; it was changed after the core was written`,
		]);
	});

	it("are others, if they end before what was mapped begins; may end within it, and that is said", async () => {
		const sysroot = place(scratch(), { ...both, [DATA]: filled(1).subarray(0, 100) });
		const path = join(sysroot, DATA);
		expect(texts(await find(withData(), { sysroot })).at(-1)).toBe(
			`caution file-unverified ${DATA}: the file at ${path} ends 4096 bytes before what was mapped of it: who goes there gets SIGBUS, unless the dead process would have`,
		);
		expect(await refused(withData({ offset: P }), { sysroot })).toMatch(
			/^ERR_BINARY_MISMATCH \/usr\/share\/data: has 100 bytes at .*, expected more: it was mapped up to byte 12288;/,
		);
	});

	it("come from the core, if they are gone and it has them", async () => {
		const sysroot = place(scratch(), both);
		expect((await find(withData({ bytes: filled(9, 2) }), { sysroot })).gone).toEqual(new Set([DATA]));
		expect(await refused(withData({ bytes: filled(9) }), { sysroot })).toMatch(
			/^ERR_BINARY_MISSING \/usr\/share\/data/,
		);
	});

	it("of gdb's cores are all of them", async () => {
		const segments = (deadCore().segments ?? []).filter(({ start }) => start !== libc && start !== libc + P);
		const sysroot = place(scratch(), both);
		expect((await find({ ...deadCore(), segments, style: "gdb" }, { sysroot })).found.get(LIBC)).toBe(
			join(sysroot, LIBC),
		);
	});
});

// A core can name any file, and root can read any: it must not end up in the memory of a process of somebody else.
const asRoot = need("root", process.getuid?.() === 0);

describe.skipIf(!asRoot)(`as whom files are read${asRoot ? "" : " (needs root)"}`, () => {
	const reader = { uid: 4242, gid: 4242 };
	/** A directory that everybody may enter. */
	const open = (): string => {
		const directory = scratch();
		chmodSync(directory, 0o755);
		return directory;
	};

	it("only what the process's user may read", async () => {
		const sysroot = place(open(), { ...both, "/etc/shadow": filled(1, 2) });
		chmodSync(join(sysroot, "etc/shadow"), 0o640);
		expect((await find(undefined, { sysroot, reader })).found.size).toBe(2);
		expect(await refused(withData({ path: "/etc/shadow" }), { sysroot, reader })).toBe(
			`ERR_BINARY_MISSING /etc/shadow: may not be used by uid 4242 (EACCES), expected it: 8192 of 8192 bytes mapped of it are not in the core; ${WAYS}`,
		);
		expect((await find(withData({ path: "/etc/shadow" }), { sysroot })).found.size).toBe(3);
		const mapFiles = new Map([["/etc/shadow", join(sysroot, "etc/shadow")]]);
		expect((await find(withData({ path: "/etc/shadow" }), { sysroot, reader, mapFiles })).found.size).toBe(3);
	});

	it("only below directories that it may enter", async () => {
		const sysroot = place(open(), { ...both, "/vault/data": filled(1, 2) });
		chmodSync(join(sysroot, "vault"), 0o700);
		expect(await refused(withData({ path: "/vault/data" }), { sysroot, reader })).toMatch(
			/may not be used by uid 4242 \(EACCES\)/,
		);
		chmodSync(join(sysroot, "vault"), 0o711);
		expect((await find(withData({ path: "/vault/data" }), { sysroot, reader })).found.size).toBe(3);
	});

	it("also of what a search finds", async () => {
		const search = place(open(), { "/private/libc": libcFile });
		const sysroot = place(open(), { [EXE]: exeFile });
		expect((await find(undefined, { sysroot, search: [search], reader })).found.get(LIBC)).toBe(
			join(search, "private/libc"),
		);
		chmodSync(join(search, "private"), 0o700);
		expect(await refused(undefined, { sysroot, search: [search], reader })).toMatch(/^ERR_BINARY_MISSING/);
	});
});

describe("--map-file", () => {
	it("is refused for what was not mapped, and for what is no file", async () => {
		const sysroot = place(scratch(), both);
		expect(await refused(undefined, { sysroot, mapFiles: new Map([["/typo", "/bin/sh"]]) })).toBe(
			"ERR_USAGE --map-file /typo=/bin/sh: core.7 has no such file mapped, expected a path that necromancer show lists",
		);
		expect(await refused(undefined, { sysroot, mapFiles: new Map([[LIBC, sysroot]]) })).toBe(
			`ERR_USAGE --map-file ${LIBC}=${sysroot}: ${sysroot} is no regular file, expected the one to map`,
		);
	});
});

it("directories that are named are there", async () => {
	const gone = join(scratch(), "gone");
	const file = join(place(scratch(), { "/x": libcFile }), "x");
	expect(await refused(undefined, { sysroot: gone })).toBe(
		`ERR_USAGE --sysroot ${gone}: is no directory, expected one to look in`,
	);
	expect(await refused(undefined, { search: [file] })).toBe(
		`ERR_USAGE --search ${file}: is no directory, expected one to look in`,
	);
});

it("a process may have very many mappings of a file, and very many files", async () => {
	const rows = Array.from({ length: 20_000 }, (_, i) => {
		const start = DATA_AT + BigInt(2 * i) * P;
		return { start, end: start + P, offset: 0n, path: i % 4 === 0 ? `/data/${i}` : DATA };
	});
	const core = deadCore();
	const files = [...(core.files ?? []), ...rows].sort((a, b) => (a.start < b.start ? -1 : 1));
	expect(await refused({ ...core, files }, { sysroot: place(scratch(), both) })).toMatch(
		/^ERR_BINARY_MISSING 5001 mapped files/,
	);
});
