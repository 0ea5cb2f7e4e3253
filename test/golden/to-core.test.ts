import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFile } from "../../src/bytes/sink.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { writeCore } from "../../src/core/write.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { coreOfTask } from "../../src/rebuild/to-core.ts";
import { fixtureNames, fixturePath, fixtureText, parseMaps } from "../support/builders/fixture-core.ts";
import { only, present } from "../support/present.ts";
import { type RawCore, readRawCore } from "../support/witness/core-reader.ts";
import { type Message, type ReadImages, readImages } from "../support/witness/image-reader.ts";
import { compareWithCore, fileHere, type RegFile, regFilesOf, restoredMemory } from "../support/witness/witness.ts";

/*
 * The donors of the fixtures as cores. The witness shares no code with src/: it reads images and cores by hand, and has
 * /proc/PID/maps as it was.
 */

const scratch = mkdtempSync(join(tmpdir(), "necromancer-to-core-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SIGSEGV = 11;
const siginfo = Buffer.alloc(128);
siginfo.writeInt32LE(SIGSEGV, 0);
siginfo.writeInt32LE(1, 8);

describe.each(fixtureNames)("the donor of %s as a core", (name) => {
	let images: ReadImages;
	let core: RawCore;
	let leader: number;
	let tids: readonly number[];
	let losses: readonly string[];

	beforeAll(async () => {
		const path = fixturePath(`${name}/images`);
		images = readImages(path);
		const process = only(images.records("pstree.img"));
		leader = Number(process.number(1));
		tids = process.numbers(5).map(Number);
		const byName = new Map([...regFilesOf(images).values()].map((file): [string, RegFile] => [file.name, file]));
		const file = (mapped: string) => {
			const known = byName.get(mapped);
			const bytes = known && fileHere(known);
			return bytes && fromBuffer(mapped, bytes);
		};
		const dir = openImageDir(path);
		const out = join(scratch, name);
		const sink = createFile(out);
		try {
			const tid = tids.at(-1) ?? leader;
			const { draft, findings } = coreOfTask(taskFromImages(dir), { file, death: { tid, siginfo } });
			await writeCore(draft, sink);
			losses = findings.map(({ subject, text }) => `${subject}: ${text}`);
		} finally {
			sink.close();
			dir.close();
		}
		core = readRawCore(readFileSync(out));
	});

	it("holds its memory, and no more", () => {
		const memory = restoredMemory(images, leader);
		const { compared, wrong } = compareWithCore(memory, core);
		// what lies between changed pages of a file that is not on this host is told, and zeros
		const absent = wrong.filter((line) => line.endsWith("absent file"));
		expect(wrong.filter((line) => !absent.includes(line))).toEqual([]);
		expect(losses.length > 0).toBe(absent.length > 0);
		expect([...memory.written].filter((at) => !compared.has(at))).toEqual([]);
		expect(memory.written.size).toBeGreaterThan(10);
	});

	it("has its mappings", () => {
		const flags = (perms: string): number =>
			[..."rwx"].reduce((bits, letter, i) => bits | (perms[i] === letter ? 4 >> i : 0), 0);
		const lines = parseMaps(fixtureText(name, "donor.maps"));
		// the two mappings of vvar are one to CRIU
		const vvar = lines.filter((line) => line.name.startsWith("[vvar"));
		const rest = lines.filter((line) => !vvar.includes(line));
		const expected = [...rest, { ...present(vvar[0]), end: present(vvar.at(-1)).end }]
			.map(({ start, end, perms }) => ({ start, end, flags: flags(perms) }))
			.sort((a, b) => (a.start < b.start ? -1 : 1));
		expect(core.loads.map(({ start, end, flags }) => ({ start, end, flags }))).toEqual(expected);
		const note = present(core.notes.find(({ type }) => type === 0x46494c45)).desc;
		const named = rest.filter(({ name }) => name.startsWith("/"));
		expect(Number(note.readBigUInt64LE(0))).toBe(named.length);
		const names = note.toString("utf8", 16 + 24 * named.length).split("\0");
		expect(names.slice(0, -1)).toEqual(named.map((line) => line.name));
	});

	it("has its threads, the one that died first", () => {
		expect(core.threads.map(({ tid }) => tid)).toEqual([tids.at(-1), ...tids.slice(0, -1)]);
		expect(core.pid).toBe(leader);
		for (const { tid, registers } of core.threads) {
			const entry = only(images.records(`core-${tid}.img`));
			const gpregs: Message = entry.message(2).message(2);
			// user_x86_regs_entry counts its fields from 1, in the order of user_regs_struct
			expect(registers.slice(0, 27)).toEqual(Array.from({ length: 27 }, (_, i) => gpregs.number(i + 1)));
		}
		const [status] = core.notes.filter(({ type }) => type === 1);
		expect(present(status).desc.readInt16LE(12)).toBe(SIGSEGV);
		expect(present(core.notes.find(({ type }) => type === 0x53494749)).desc).toEqual(siginfo);
	});
});
