import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type ByteSource, fromBuffer, openFile } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import type { Understood } from "../../src/understand/understand.ts";
import { fixtureCore, fixtureNames, fixturePath, fixtureText, parseMaps } from "../support/builders/fixture-core.ts";
import { judgedFor } from "../support/builders/judged.ts";
import { understoodAlone } from "../support/builders/understood.ts";
import { only, present } from "../support/present.ts";
import { type Message, readImages } from "../support/witness/image-reader.ts";
import { fileHere, placeHere, regFilesOf } from "../support/witness/witness.ts";

/*
 * What every fixture's core alone makes of its process. UPDATE_GOLDEN=1 writes down what it says now: read the difference
 * before you keep it. The donors, dumped by CRIU, knew the truth.
 */
const update = process.env["UPDATE_GOLDEN"] === "1";

type Opens = (path: string) => ByteSource | undefined;

/** The fixtures' own programs and nothing else, so that every host says the same. */
const victims: Opens = (path) => (path.startsWith("/opt/victims/bin/") ? openFile(placeHere(path)) : undefined);

/** This host's files too, which may be other builds. */
const host: Opens = (path) => {
	try {
		return openFile(placeHere(path));
	} catch {
		return undefined;
	}
};

function deduced(name: string, open: Opens): Understood {
	const dead = taskFromCore(readCore(fromBuffer("core", fixtureCore(name))));
	return understoodAlone(dead, {
		open: judgedFor(dead, open),
		modeOf: (path) => (path === "/" ? 0o040755 : path === "/dev/null" ? 0o020666 : undefined),
	});
}

/** Whether the fixture's libraries are this host's, so that they can be asked for what the core does not hold. */
const sameBuilds = (name: string): boolean =>
	[...regFilesOf(readImages(fixturePath(`${name}/images`))).values()]
		.filter((file) => file.buildId !== undefined)
		.every((file) => fileHere(file) !== undefined);

/** core_entry of the donor, by thread id: thread_core (5), thread_info (2) with clear_tid_addr (1) and gpregs (2). */
function donorThreads(name: string): { fsBase: bigint; clearTid: bigint; robust: bigint; rseq: bigint }[] {
	const images = readImages(fixturePath(`${name}/images`));
	const cores = images.names.filter((file) => /^core-\d+\.img$/.test(file)).map((file) => only(images.records(file)));
	return cores.map((core: Message) => {
		const [info, thread] = [core.message(2), core.message(5)];
		return {
			fsBase: info.message(2).number(22),
			clearTid: info.number(1),
			robust: thread.number(1),
			rseq: thread.message(15).number(1),
		};
	});
}

describe.each(fixtureNames)("%s from its core alone", (name) => {
	it("comes with the findings written down", () => {
		const { findings } = deduced(name, victims);
		const text = findings.map((it) => `${it.weight} [${it.code}] ${it.subject}: ${it.text}\n`).join("");
		const file = fixturePath(`${name}/deduced.txt`);
		if (update) writeFileSync(file, text);
		expect(text, `${name}/deduced.txt; UPDATE_GOLDEN=1 rewrites it`).toBe(readFileSync(file, "utf8"));
	});

	it("has what its libc registers with the kernel where the donor's libc did", () => {
		const donor = donorThreads(name);
		const offsets = (of: (thread: (typeof donor)[number]) => bigint): Set<bigint> =>
			new Set(donor.map((thread) => of(thread) - thread.fsBase));
		const { threads } = deduced(name, host).task;
		const own = (of: (thread: (typeof threads)[number]) => bigint | undefined): Set<bigint> =>
			new Set(threads.map((thread) => present(of(thread)) - thread.registers.fs_base));
		expect(own((thread) => thread.clearTid)).toEqual(offsets((thread) => thread.clearTid));
		expect(own((thread) => thread.robustList)).toEqual(offsets((thread) => thread.robust));
		// where nothing names the place, areas on processor 0 cannot be told from zeros
		if (!sameBuilds(name) && threads.every(({ rseq }) => rseq === undefined)) return;
		expect(own((thread) => thread.rseq?.area)).toEqual(offsets((thread) => thread.rseq));
		for (const thread of threads) expect(thread.rseq).toMatchObject({ size: 32, signature: 0x53053053 });
	});

	it("has its heap, its mappings and their protections where they were", () => {
		const { memory } = deduced(name, host).task;
		const maps = parseMaps(fixtureText(name, "dead.maps"));
		const heap = present(maps.find((line) => line.name === "[heap]"));
		expect(memory.bounds.startBrk).toBe(heap.start);
		expect(memory.bounds.brk > heap.end - 4096n && memory.bounds.brk <= heap.end).toBe(true);
		const letters = (prot: number): string =>
			["r", "w", "x"].map((letter, i) => ((prot >> i) & 1 ? letter : "-")).join("");
		const found = new Map(memory.mappings.map(({ start, end, prot }) => [`${start}-${end}`, letters(prot)]));
		for (const { start, end, perms, name: what } of maps)
			if (!what.startsWith("[v") && (sameBuilds(name) || !name.endsWith("-gcore")))
				expect([what, found.get(`${start}-${end}`)]).toEqual([what, perms.slice(0, 3)]);
	});
});
