import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { ShowOptions } from "../../../../src/cli/show/options.ts";
import { show } from "../../../../src/cli/show/run.ts";
import { openTerminal } from "../../../../src/cli/terminal.ts";
import { NecromancerError } from "../../../../src/errors.ts";
import { type BuiltCore, type BuiltSegment, buildCore } from "../../../support/builders/core-builder.ts";
import { deadStack } from "../../../support/builders/dead-stack.ts";
import { fixturePath } from "../../../support/builders/fixture-core.ts";
import { delimited, framed, imageBytes, number } from "../../../support/witness/wire.ts";

const scratch = mkdtempSync(join(tmpdir(), "necromancer-show-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What show prints, which is all on stdout. */
async function shown(path: string, options: Partial<ShowOptions> = {}, env = {}): Promise<string> {
	let text = "";
	const stdout = { write: (more: string) => (text += more) };
	const stderr = { write: (more: string) => expect.fail(`on stderr: ${more}`) };
	await show(path, { json: false, verbose: false, ...options }, openTerminal({ stdout, stderr, env }));
	return text;
}

const refusal = (path: string, options: Partial<ShowOptions> = {}): Promise<string> =>
	shown(path, options).then(
		() => expect.fail("expected a refusal"),
		(error: unknown) =>
			error instanceof NecromancerError
				? `${error.code} ${error.message}`
				: expect.fail(`expected a refusal: ${error}`),
	);

const stack = deadStack(["/bin/p\u001b[31m", "a b"], ["X=1"]);
const PAGE = new Uint8Array(4096);

/** A small process, with hostile names. */
const dead: BuiltCore = {
	threads: [
		{ tid: 101, signal: 11, pending: 0b10n, registers: registers({ ip: 0x5555_5555_5010n, sp: 0x7fff_f7d0_0800n }) },
		{ tid: 100, signal: 11, blocked: 0x4001n, shadowStack: 0x7000n, registers: registers({ sp: stack.startStack }) },
	],
	process: { pid: 100, name: "p\u001b]0;x\u0007\xe9", uid: 1000, gid: 100, nice: 246 },
	auxv: [...stack.auxv, [3, 0x5555_5555_4040n], [9, 0x5555_5555_5000n]],
	files: [
		{ start: 0x5555_5555_4000n, end: 0x5555_5555_7000n, offset: 0n, path: "/bin/p\u001b[31m" },
		{ start: 0x7fff_f7a0_0000n, end: 0x7fff_f7a0_2000n, offset: 0x3000n, path: "/tmp/gone\u202e (deleted)" },
	],
	segments: [
		{ start: 0x5555_5555_4000n, end: 0x5555_5555_7000n, prot: 5, bytes: PAGE },
		{ start: 0x5555_5555_7000n, end: 0x5555_5555_8000n, prot: 3, bytes: PAGE },
		{ start: 0x5555_5560_0000n, end: 0x5555_5562_1000n, prot: 3 },
		{ start: 0x7fff_f7a0_0000n, end: 0x7fff_f7a0_2000n, prot: 1, bytes: PAGE },
		{ start: 0x7fff_f7d0_0000n, end: 0x7fff_f7d0_1000n, prot: 3, bytes: PAGE },
		{ start: stack.start, end: stack.end, prot: 3, bytes: stack.bytes },
	],
	extraNotes: [
		{ owner: "NEW\u001b", type: 0x99, desc: PAGE },
		{ owner: "NEW\u001b", type: 0x99, desc: PAGE },
	],
};

function registers({ ip = 0n, sp = 0n }): bigint[] {
	const words = new Array<bigint>(27).fill(0n);
	words[15] = 0xffff_ffff_ffff_ffffn;
	words[16] = ip;
	words[19] = sp;
	return words;
}

function coreFile(core: BuiltCore): string {
	const directory = mkdtempSync(join(scratch, "core-"));
	writeFileSync(join(directory, "core"), buildCore(core));
	return join(directory, "core");
}

describe("show of a core", () => {
	it("says what is there, with nothing a terminal would obey", async () => {
		const text = await shown(coreFile(dead));
		expect(text).toBe(`core: core of p\\x1b]0;x\\x07\\xe9, pid 100, 160K, written by Linux

  death       SIGSEGV, taken by thread 101
  command     $'/bin/p\\x1b[31m' 'a b'
  executable  /bin/p\\x1b[31m
  ids         uid 1000, gid 100, nice -10

threads (2)
  100  0x0 (not mapped)  running
      blocked SIGHUP, SIGTERM
      shadow stack pointer 0x7000
  101  p\\x1b[31m+0x1010  running, took the signal
      pending SIGINT

mappings (6, 292K: 148K in the core, 8K in the mapped files, 136K untouched or left out)
  range                      prot  size  held  what
  555555554000-555555557000  r-x    12K    4K  /bin/p\\x1b[31m
  555555557000-555555558000  rw-     4K   all  anonymous
  555555600000-555555621000  rw-   132K     -  [heap]
  7ffcfffdf000-7ffd00000000  rw-   132K   all  [stack]
  7ffff7a00000-7ffff7a02000  r--     8K    4K  /tmp/gone\\u{202e}+0x3000 (deleted)
  7ffff7d00000-7ffff7d01000  rw-     4K   all  [stack:101]

mapped files (2, by build-id)
  no build-id known  /bin/p\\x1b[31m  executable
  no build-id known  /tmp/gone\\u{202e} (deleted)

notes nobody reads
  NEW\\x1b 0x99: 2 notes, 8192 bytes

not in this core
  loss     /tmp/gone\\u{202e}                                     was deleted, and 4K of it are not in the core: they read as zeros
  loss     1 shadow stack                                        nothing can set one again: the threads go on without
  caution  132K in 1 mapping                                     untouched, or left out of the dump (coredump_filter, MADV_DONTDUMP): they read as zeros
  note     descriptors, offsets, working directory, root, umask  never in a core: a donor's are taken
  note     signal handlers, alternate stacks                     never in a core: a donor's are taken, moved to this layout
  note     robust lists, rseq areas, clear-tid addresses         never in a core: found by way of a donor's threads
  note     timers, limits                                        never in a core: a donor's are taken
  note     groups, capabilities, seccomp filters                 never in a core: a donor's are taken where its user is the same
  note     shared or private, huge pages, locks, advice          never in a core: a donor's like mappings tell
`);
	});

	it("shows registers and the auxiliary vector when asked", async () => {
		const text = await shown(coreFile(dead), { verbose: true });
		expect(text).toContain("      rip    0000555555555010  rsp    00007ffff7d00800");
		expect(text).toContain("\nauxiliary vector\n  AT_SYSINFO_EHDR 0x7ffff7fc1000\n");
	});

	it("folds thousands of mappings and threads", async () => {
		const many: BuiltSegment[] = Array.from({ length: 3000 }, (_, i) => {
			const start = 0x6000_0000_0000n + BigInt(i) * 0x2000n;
			return { start, end: start + 0x1000n, prot: 3, ...(i % 2 === 0 ? { bytes: PAGE } : {}) };
		});
		const threads = [
			...dead.threads,
			...Array.from({ length: 500 }, (_, i) => ({ tid: 1000 + i, registers: registers({}) })),
		];
		const path = coreFile({ ...dead, threads, segments: [...(dead.segments ?? []), ...many] });
		const text = await shown(path);
		expect(text.split("\n").length).toBeLessThan(140);
		expect(text).toContain("\n  … 2966 more, 12M, 5.8M in the core (-v shows them)\n");
		expect(text).toContain("\n  … 462 more (-v shows them)\n");
		expect(text).toContain("[stack:101]\n");
		expect((await shown(path, { verbose: true })).split("\n").length).toBeGreaterThan(6500);
		expect(JSON.parse(await shown(path, { json: true })).mappings).toHaveLength(3006);
	});

	it("is a value for programs", async () => {
		const json = await shown(coreFile(dead), { json: true });
		expect(json.replace(/[\n\t]/g, "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
		const value = JSON.parse(json);
		expect(Object.keys(value)).toEqual([
			...[
				"schema",
				"kind",
				"name",
				"size",
				"writer",
				"machine",
				"process",
				"death",
				"stack",
				"threads",
				"mappings",
				"totals",
			],
			...["files", "auxv", "otherNotes", "findings"],
		]);
		expect(value.process).toEqual({
			pid: 100,
			ppid: null,
			pgid: null,
			sid: null,
			comm: "p\u001b]0;x\u0007\udce9",
			uid: 1000,
			gid: 100,
			executable: "/bin/p\u001b[31m",
		});
		expect(value.death).toEqual({
			signal: "SIGSEGV",
			number: 11,
			words: "SIGSEGV",
			tid: 101,
			synchronous: false,
			siginfo: null,
		});
		expect(value.stack.arguments).toEqual(["/bin/p\u001b[31m", "a b"]);
		expect(value.mappings[4]).toEqual({
			start: "0x7ffff7a00000",
			end: "0x7ffff7a02000",
			size: 8192,
			prot: "r--",
			shared: null,
			kind: "file",
			label: null,
			path: "/tmp/gone\u202e",
			offset: "0x3000",
			deleted: true,
			remarks: [],
			held: 4096,
			rest: "nowhere",
		});
		expect(value.threads[1].at).toEqual({ path: "/bin/p\u001b[31m", label: null, offset: "0x1010" });
		expect(Object.keys(value.threads[1].registers)).toHaveLength(27);
		expect(value.otherNotes).toEqual([
			{ owner: "NEW\u001b", type: 0x99, size: 4096 },
			{ owner: "NEW\u001b", type: 0x99, size: 4096 },
		]);
	});

	it("colours on demand, and the text stays the same", async () => {
		const path = coreFile(dead);
		const coloured = await shown(path, {}, { FORCE_COLOR: "1" });
		expect(coloured).toContain("\u001b[31mSIGSEGV, taken by thread 101\u001b[39m");
		// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are
		expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(await shown(path));
	});

	it.each([
		["packed", Buffer.from("1f8b0800", "hex"), "ERR_CORE_TRUNCATED"],
		["text", Buffer.from("hello"), "ERR_CORE_MAGIC"],
		["empty", Buffer.alloc(0), "ERR_CORE_MAGIC"],
		["cut", buildCore(dead).subarray(0, 70_000), "ERR_CORE_TRUNCATED"],
	])("refuses what is none: %s", async (name, bytes, code) => {
		const path = join(scratch, name);
		writeFileSync(path, bytes);
		expect(await refusal(path)).toContain(`${code} ${path}: `);
	});

	it("refuses a path that leads nowhere", async () => {
		expect(await refusal(join(scratch, "none"))).toContain("ERR_IO ");
		expect(await refusal(join(scratch, "text", "below"))).toContain("ERR_IO ");
	});
});

const PID = 25393;

/** A copy of the simplest donor, to change. */
function images(): string {
	const directory = join(mkdtempSync(join(scratch, "images-")), "images");
	cpSync(fixturePath("counter-static/images"), directory, { recursive: true });
	return directory;
}

const process = (pid: number, ppid: number, threads: readonly number[]): number[] =>
	framed(
		[number(1, pid), number(2, ppid), number(3, pid), number(4, pid), ...threads.map((tid) => number(5, tid))].flat(),
	);

/** Gives a copy a second process, which is the first one's twin, and a zombie, of which CRIU 4.2 writes a thread at random. */
function family(): string {
	const directory = images();
	for (const kind of ["core", "ids", "mm", "fs", "pagemap"]) {
		cpSync(join(directory, `${kind}-${PID}.img`), join(directory, `${kind}-7.img`));
	}
	const zombie = [
		number(1, 1),
		delimited(
			3,
			[number(1, 2), number(2, 11), number(3, 0), number(4, 0), number(5, 0), delimited(6, "z\u001b")].flat(),
		),
	].flat();
	writeFileSync(join(directory, "core-8.img"), imageBytes(0x55053847, framed(zombie)));
	writeFileSync(
		join(directory, "pstree.img"),
		imageBytes(0x50273030, process(PID, 0, [PID]), process(7, PID, [7]), process(8, 7, [PID])),
	);
	return directory;
}

describe("show of images", () => {
	it("shows a tree, and every process in it that lives", async () => {
		const directory = family();
		const text = await shown(directory);
		expect(text).toContain(
			`
images: CRIU images of 3 processes, `.slice(1),
		);
		expect(text).toContain(`
tree (3)
  ${PID} counter-static (session ${PID}, group ${PID}, 4M, 3.1M in the pages files)
    7 counter-static (session 7, group 7, 4M, 3.1M in the pages files)
      8 z\\x1b (zombie, killed by SIGSEGV, session 8, group 8)

shared (6)
  descriptor table 2                                            of ${PID}, 7
  pipe 247523                                                   of ${PID}, 7
  description 2       file /dev/null                            of ${PID}, 7
  description 3       file /dev/null                            of ${PID}, 7
  description 4       file /opt/victims/run/counter-static/log  of ${PID}, 7
  description 5       file /dev/null                            of ${PID}, 7

process ${PID} (counter-static)
`);
		expect(text).toContain("\nprocess 7 (counter-static)\n");
		expect(text).not.toContain("\nprocess 8 (");
		const one = await shown(directory, { pid: 7 });
		expect(one).toContain("\nprocess 7 (counter-static)\n");
		expect(one).not.toContain(`\nprocess ${PID} (`);
		const whole = JSON.parse(await shown(directory, { json: true }));
		expect(whole.tree[2]).toEqual({
			...{ pid: 8, ppid: 7, pgid: 8, sid: 8, comm: "z\u001b", state: "zombie", threads: [], status: 11 },
		});
		expect(whole.shared.slice(0, 3)).toEqual([
			{ kind: "descriptor table", id: 2, what: "", processes: [PID, 7] },
			{ kind: "pipe", id: 247523, what: "", processes: [PID, 7] },
			{ kind: "description", id: 2, what: "file /dev/null", processes: [PID, 7] },
		]);
		const json = JSON.parse(await shown(directory, { json: true, pid: 7 }));
		expect(json.shared).toBeNull();
		expect(json.tree.map(({ pid, state }: { pid: number; state: string }) => [pid, state])).toEqual([
			[PID, "running"],
			[7, "running"],
			[8, "zombie"],
		]);
		expect(json.processes.map(({ pid }: { pid: number }) => pid)).toEqual([7]);
		expect(await refusal(directory, { pid: 9 })).toBe(
			`ERR_IMAGE_MISSING ${directory}/pstree.img: has no process 9, only ${PID}, 7, 8`,
		);
	});

	it("names what it does not know, and where a dump continues from", async () => {
		const directory = images();
		writeFileSync(join(directory, "notes\u001b.txt"), "hello");
		symlinkSync("../before", join(directory, "parent"));
		const text = await shown(directory);
		expect(text).toContain("notes\\x1b.txt   5  no image we know\n");
		expect(text).toContain("loss  parent ../before  ");
	});

	it("refuses a directory between old and new, and one that is none", async () => {
		const directory = images();
		mkdirSync(join(directory, ".necromancer"));
		expect(await shown(directory)).toContain("CRIU images of counter-static");
		writeFileSync(join(directory, ".necromancer", "journal.json"), "x");
		expect(await refusal(directory)).toContain("ERR_IMAGE_UNFINISHED ");
		expect(await refusal(scratch)).toContain(`ERR_IMAGE_MISSING ${scratch}: holds no inventory.img`);
	});
});
