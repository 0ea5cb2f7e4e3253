import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixtureCore, fixturePath, fixtureText } from "../support/builders/fixture-core.ts";
import { coreOfProcessor, type OtherProcessor, pattern, xmmPattern } from "../support/builders/other-processor.ts";
import { built } from "../support/lives/built.ts";
import { soon } from "../support/lives/living.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// Cores of processors with fewer registers than this one, or with more: made, for whoever tests has one processor.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const FIXTURE = "counter-static";
const PID = 25364;

const [AVX, OPMASK, ZMM_HI256, HI16_ZMM, PKRU, XTILECFG, XTILEDATA, APX] = [2, 5, 6, 7, 9, 17, 18, 19];

/** Key 1 open beside key 0, all others without access; Linux gives 0x55555554. */
const keys = Buffer.from("5055555500000000", "hex");
const linuxKeys = Buffer.from("5455555500000000", "hex");
/** Palette 1, and a tile of 16 rows of 64 bytes (Intel's SDM, TILECFG). */
const tiles = Buffer.alloc(64);
tiles[0] = 1;
tiles[16] = 64;
tiles[48] = 16;

type Row = readonly [component: number, offset: number, bytes: Buffer];
const row = (component: number, offset: number, size: number): Row => [component, offset, pattern(component, size)];
const avx = row(AVX, 576, 256);
const avx512 = [row(OPMASK, 1088, 64), row(ZMM_HI256, 1152, 512), row(HI16_ZMM, 1664, 1024)];
const intelKeys: Row = [PKRU, 2688, keys];

const processors: readonly (readonly [name: string, rows: readonly Row[]])[] = [
	["SSE alone", []],
	["AVX, and neither AVX-512 nor protection keys", [avx]],
	["AVX-512 and no protection keys", [avx, ...avx512]],
	["AMD's places, protection keys and no AVX-512", [avx, [PKRU, 2432, keys]]],
	["AMX's tiles", [avx, ...avx512, intelKeys, [XTILECFG, 2752, tiles], row(XTILEDATA, 2816, 8192)]],
	["APX", [avx, ...avx512, intelKeys, row(APX, 960, 128)]],
];

const names = new Map([
	...([
		[AVX, "AVX"],
		[OPMASK, "opmask"],
		[ZMM_HI256, "ZMM_Hi256"],
		[HI16_ZMM, "Hi16_ZMM"],
	] as const),
	...([
		[PKRU, "PKRU"],
		[XTILECFG, "XTILECFG"],
		[XTILEDATA, "XTILEDATA"],
		[APX, "APX"],
	] as const),
]);

const nameOf = (component: number): string => names.get(component) ?? `${component}`;

const processor = (rows: readonly Row[], layoutNote: boolean): OtherProcessor => ({
	layoutNote,
	components: new Map(rows.map(([component, offset, bytes]) => [component, { offset, bytes }])),
});

const directory = mkdtempSync(join(tmpdir(), "necromancer-processor-"));
let room: Room;
let main = "";
let original: Buffer;
beforeAll(async () => {
	if (!able) return;
	main = join(built(), "cli/main.js");
	original = fixtureCore(FIXTURE);
	const source = fileURLToPath(new URL("../support/lives/xstate-of.c", import.meta.url));
	execFileSync("gcc", ["-O1", "-o", join(directory, "xstate-of"), source]);
	room = await openRoom();
});
afterEach(async () => {
	if (!able) return;
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const necromancer = (...args: readonly string[]): Ran => room.run([process.execPath, main, ...args]);

function written(core: Buffer): string {
	const path = join(directory, "core");
	writeFileSync(path, core);
	return path;
}

/** What registers the stopped process has, by component; 1 is SSE. */
function registers(): ReadonlyMap<number, Buffer> {
	const { status, stdout, stderr } = room.run([join(directory, "xstate-of"), `${PID}`]);
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	return new Map(
		[...stdout.matchAll(/^(\d+) ([0-9a-f]+)$/gm)].map(([, n, hex = ""]) => [Number(n), Buffer.from(hex, "hex")]),
	);
}

/** It has what the core says, where there is such a register here; else what a process starts with. Yields what is missing. */
function expectRegisters(rows: readonly Row[]): string[] {
	const found = registers();
	const said = new Map<number, Buffer>([
		[1, xmmPattern],
		...rows.map(([component, , bytes]) => [component, bytes] as const),
	]);
	for (const [component, bytes] of found) {
		const initial = component === PKRU ? linuxKeys : Buffer.alloc(bytes.length);
		expect({ component, bytes }).toEqual({ component, bytes: said.get(component) ?? initial });
	}
	return [...said.keys()].filter((component) => !found.has(component)).map(nameOf);
}

/** It counts on from where it died. */
async function expectCounting(log: string, before: number): Promise<void> {
	room.run(["kill", "-CONT", `${PID}`]);
	const [last, seed] = /^count (\d+) (seed \S+)/.exec(fixtureText(FIXTURE, "dead.lastline"))?.slice(1) ?? [];
	const more = (await linesOf(log, before + 3)).slice(before, before + 3);
	expect(more.map((line) => line.split(" ").slice(0, 4).join(" "))).toEqual(
		[1, 2, 3].map((i) => `count ${Number(last) + i} ${seed}`),
	);
}

interface Found {
	readonly subject: string;
	readonly code: string;
	readonly weight: string;
	readonly text: string;
}

const lossesIn = (findings: readonly Found[]): readonly Found[] => findings.filter(({ code }) => code === "xstate");

const whyNotHere = (lacking: readonly string[]): string =>
	lacking.includes("XTILEDATA") ? "which a process here has not, unless it asks" : "which this processor has not";

function lossOf(lacking: readonly string[], why = whyNotHere(lacking)): Found[] {
	if (lacking.length === 0) return [];
	return [
		{
			...{ weight: "loss", code: "xstate", subject: `thread ${PID}` },
			text: `used ${lacking.join(", ")}, ${why}; those registers are reset`,
		},
	];
}

function withWord(area: Buffer, at: number, word: bigint): Buffer {
	area.writeBigUInt64LE(word, at);
	return area;
}

describe.skipIf(!able)(`a core of a processor with ${needs}`, () => {
	describe.each(processors)("%s", (_, rows) => {
		// by a kernel before 6.12, which does not note where they lie; the next is by a later one
		it("is raised with the registers that there are here", async () => {
			const log = join(room.temporary, "log");
			writeFileSync(log, "");
			const core = written(coreOfProcessor(original, processor(rows, false)));
			const { status, stdout, stderr } = necromancer("raise", "--json", "--trust", "--fd", `3=${log}`, core);
			expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
			const lacking = expectRegisters(rows);
			expect(lossesIn(JSON.parse(stdout).findings)).toEqual(lossOf(lacking));
			await expectCounting(log, 0);
		});

		it("is patched into a donor of an ordinary processor", async () => {
			room.putLog(FIXTURE);
			const images = join(mkdtempSync(join(directory, "patched-")), "images");
			cpSync(fixturePath(`${FIXTURE}/images`), images, { recursive: true });
			const core = written(coreOfProcessor(original, processor(rows, true)));
			const patched = necromancer("-c", core, "-i", images, "--json");
			expect(patched).toMatchObject({ status: 0, stderr: "" });
			const beyond = rows.map(([component]) => component).filter((component) => component > PKRU);
			expect(lossesIn(JSON.parse(patched.stdout).findings)).toEqual(
				lossOf(beyond.map(nameOf), "which images cannot hold"),
			);
			const { status, stderr } = necromancer("restore", "-d", "-s", "-i", images);
			expect(status).toBe(0);
			const lacking = expectRegisters(rows.filter(([component]) => component <= PKRU));
			expect(stderr.split("\n").filter((line) => line.includes("those registers"))).toEqual(
				lossOf(lacking).map(({ subject, text }) => `loss    ${subject}: ${text}`),
			);
			await expectCounting(
				room.path(`/opt/victims/run/${FIXTURE}/log`),
				fixtureText(FIXTURE, "dead.log").trim().split("\n").length,
			);
		});
	});

	const whole = processor([avx, ...avx512, intelKeys], true);
	it.each([
		[
			"whose area is cut short",
			(area: Buffer) => area.subarray(0, 832),
			"ERR_CORE_CORRUPT",
			"xsave area of 832 bytes ends before opmask, expected 1152",
		],
		[
			"whose area ends before its header",
			(area: Buffer) => area.subarray(0, 512),
			"ERR_NOTE_SIZE",
			"xsave area is 512 bytes, expected at least 576",
		],
		[
			"that uses what it says it has not",
			(area: Buffer) => withWord(area, 464, 7n),
			"ERR_CORE_CORRUPT",
			"xsave area uses components 0x2e7, expected some of xcr0 0x7",
		],
		[
			"whose area is compacted",
			(area: Buffer) => withWord(area, 520, (1n << 63n) | 7n),
			"ERR_CORE_CORRUPT",
			"xsave area is compacted (xcomp_bv 0x8000000000000007), expected the standard format",
		],
	])("and one %s is refused", (_, alter, code, text) => {
		const core = written(coreOfProcessor(original, whole, alter));
		const { status, stdout, stderr } = necromancer("raise", "--trust", core);
		expect({ status, stdout, stderr }).toEqual({
			status: 3,
			stdout: "",
			stderr: `necromancer: ${core}: thread ${PID}: ${text} [${code}]\n`,
		});
		expect(room.pids()).toEqual([]);
	});
});
