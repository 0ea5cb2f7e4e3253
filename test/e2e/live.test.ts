import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { fixturePath, type MapsLine, parseMaps } from "../support/builders/fixture-core.ts";
import { hostWithVictims, patchInto } from "../support/builders/patching.ts";
import { only, present } from "../support/present.ts";
import { refusalOf } from "../support/refusal.ts";
import { hasTool } from "../support/tools.ts";
import { readRawCore, wordsOf } from "../support/witness/core-reader.ts";
import { type ReadImages, readImages } from "../support/witness/image-reader.ts";
import { fileHere, regFilesOf, restoredMemory } from "../support/witness/witness.ts";

/*
 * Processes of this machine, stopped, read whole through /proc, killed, and patched into a fixture's donor: what a restore
 * would bring back is held against what /proc showed just before the death.
 */

const scratch = mkdtempSync(join(tmpdir(), "necromancer-live-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const host = hostWithVictims();
afterAll(host.close);

interface Snapshot {
	readonly pid: number;
	readonly maps: readonly MapsLine[];
	/** Fields of /proc/PID/stat by their number in proc(5). */
	stat(field: number): bigint;
	readonly auxv: readonly bigint[];
	readonly comm: string;
	readonly threads: readonly {
		readonly tid: number;
		readonly blocked: bigint;
		readonly sp: bigint;
		readonly pc: bigint;
	}[];
	/** Page address → bytes, of what can be read. */
	readonly memory: ReadonlyMap<bigint, Buffer>;
}

const PAGE = 4096n;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Everything that /proc tells of a stopped process. */
function snapshotOf(pid: number): Snapshot {
	const text = (file: string): string => readFileSync(`/proc/${pid}/${file}`, "utf8");
	const maps = parseMaps(text("maps"));
	const fields = text("stat")
		.replace(/^.*\) /s, "")
		.split(" ");
	const threads = readdirSync(`/proc/${pid}/task`).map((tid) => {
		const words = text(`task/${tid}/syscall`).trim().split(" ");
		return {
			tid: Number(tid),
			blocked: BigInt(`0x${/^SigBlk:\s*(\w+)$/m.exec(text(`task/${tid}/status`))?.[1]}`),
			sp: BigInt(words.at(-2) ?? 0),
			pc: BigInt(words.at(-1) ?? 0),
		};
	});
	const memory = new Map<bigint, Buffer>();
	const fd = openSync(`/proc/${pid}/mem`, "r");
	for (const { start, end, perms } of maps) {
		if (perms[0] !== "r" || start >= 1n << 47n) continue;
		const bytes = Buffer.alloc(Number(end - start));
		try {
			if (readSync(fd, bytes, 0, bytes.length, start) !== bytes.length) continue;
		} catch {
			continue; // vvar
		}
		for (let at = start; at < end; at += PAGE)
			memory.set(at, bytes.subarray(Number(at - start), Number(at - start) + 4096));
	}
	closeSync(fd);
	const auxv = wordsOf(readFileSync(`/proc/${pid}/auxv`));
	return {
		pid,
		maps,
		stat: (field) => BigInt(fields[field - 3] ?? 0),
		auxv,
		comm: text("comm").trim(),
		threads,
		memory,
	};
}

/** Runs a program of the fixtures until it has written some lines, stops it, looks, and lets it die. */
async function livedAndDied(program: string, die: Death): Promise<{ snapshot: Snapshot; core: string }> {
	const directory = mkdtempSync(join(scratch, `${program}-`));
	const log = join(directory, "log");
	const command = `ulimit -c unlimited; exec ${fixturePath(`bin/${program}`)} ${log}`;
	const child = spawn("/bin/sh", ["-c", command], { cwd: directory, stdio: "ignore" });
	const pid = child.pid ?? 0;
	const gone = new Promise((resolve) => child.once("exit", resolve));
	const state = (): string => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "?";
	try {
		await until(() => lines(log));
		child.kill("SIGSTOP");
		await until(() => state() === "T");
		await sleep(5); // the other threads
		const snapshot = snapshotOf(pid);
		die.kill(pid, directory);
		if (die.dies) await gone;
		return { snapshot, core: join(directory, present(readdirSync(directory).find((file) => file.startsWith("core")))) };
	} finally {
		child.kill("SIGKILL");
		await gone;
	}
}

async function until(holds: () => boolean): Promise<void> {
	for (let waited = 0; !holds(); waited++) {
		if (waited === 2000) throw new Error("the process does not do what it should");
		await sleep(5);
	}
}

const lines = (log: string): boolean => {
	try {
		return readFileSync(log, "utf8").split("\n").length > 2;
	} catch {
		return false;
	}
};

interface Death {
	readonly name: string;
	readonly possible: boolean;
	readonly dies: boolean;
	kill(pid: number, directory: string): void;
}

const deaths: readonly Death[] = [
	{
		name: "the kernel's core of it (needs a core_pattern that is a plain name)",
		possible: !/^[|@/]/.test(readFileSync("/proc/sys/kernel/core_pattern", "utf8")),
		dies: true,
		kill: (pid) => {
			process.kill(pid, "SIGABRT");
			process.kill(pid, "SIGCONT");
		},
	},
	{
		name: "gdb's core of it (needs gcore)",
		possible: hasTool("gcore"),
		dies: false,
		kill: (pid, directory) =>
			void execFileSync("gcore", ["-o", join(directory, "core"), String(pid)], { stdio: "ignore" }),
	},
];

/** The binaries that are other builds here than in the fixtures: with these, refusing is all that can be expected. */
const otherBuilds = (donor: ReadImages): string[] =>
	[...regFilesOf(donor).values()]
		.filter((file) => file.buildId !== undefined && fileHere(file) === undefined)
		.map(({ name }) => name);

/**
 * A process that is continued to die may do a few steps before it does: then the core shows another moment than
 * /proc did, and says nothing about the patcher. That is seldom; so try again.
 */
async function ofOneMoment(program: string, death: Death): Promise<{ snapshot: Snapshot; core: string }> {
	for (let attempt = 1; ; attempt++) {
		const found = await livedAndDied(program, death);
		const { loads } = readRawCore(readFileSync(found.core));
		const moved = loads.some(({ start, bytes }) =>
			Array.from({ length: bytes.length >> 12 }, (_, i) => i << 12).some((from) => {
				const before = found.snapshot.memory.get(start + BigInt(from));
				return before !== undefined && !before.equals(bytes.subarray(from, from + 4096));
			}),
		);
		if (!moved || attempt === 5) return found;
	}
}

describe.each(["counter", "counter-static", "threads"])("a %s of this machine", (program) => {
	const donorPath = fixturePath(`${program}/images`);
	const different = otherBuilds(readImages(donorPath));

	describe.each(deaths)("by $name", (death) => {
		it.skipIf(!death.possible)(
			different.length === 0
				? "would come back as /proc showed it"
				: `is refused, ${different.join(" and ")} being of another build than the donor's`,
			async () => {
				const { snapshot, core } = await ofOneMoment(program, death);
				const out = join(scratch, `${program} ${death.dies} patched`);
				const patching = patchInto(core, donorPath, out, { host });
				if (different.length > 0) {
					expect(await refusalOf(patching)).toMatch(
						/^ERR_BINARY_MISMATCH .*, expected the same builds; dump a donor of the same builds/,
					);
					return;
				}
				const { images, told } = await patching;
				expect(told.filter((text) => text.startsWith("loss"))).toEqual([]);
				compareMappings(images, snapshot);
				comparePages(images, snapshot);
				compareBounds(images, snapshot);
				compareThreads(images, snapshot, death.dies);
			},
		);
	});
});

function compareMappings(images: ReadImages, { pid, maps }: Snapshot): void {
	const clock = maps.find(({ name }) => name === "[vvar_vclock]");
	const expected = maps
		.filter((line) => line !== clock)
		.map((line) => {
			const end = line.name === "[vvar]" && clock !== undefined ? clock.end : line.end;
			const prot = (["r", "w", "x"] as const).map((letter, i) => (line.perms[i] === letter ? letter : "-")).join("");
			return `${hex(line.start)}-${hex(end)} ${prot} ${hex(line.offset)} ${line.name.startsWith("/") ? line.name : ""}`;
		});
	const files = regFilesOf(images);
	const found = restoredMemory(images, pid).vmas.map(({ start, end, prot, pgoff, shmid }) => {
		const letters = ["r", "w", "x"].map((letter, i) => ((prot >> i) & 1 ? letter : "-")).join("");
		return `${hex(start)}-${hex(end)} ${letters} ${hex(pgoff)} ${shmid === 0n ? "" : files.get(Number(shmid))?.name}`;
	});
	expect(found).toEqual(expected);
}

function comparePages(images: ReadImages, { pid, memory }: Snapshot): void {
	const restored = restoredMemory(images, pid);
	const wrong: string[] = [];
	let compared = 0;
	for (const [at, bytes] of memory) {
		const shown = restored.page(at);
		if (shown === "not private") continue;
		compared++;
		if (typeof shown === "string") wrong.push(`${hex(at)} shows ${shown}`);
		else if (!shown.equals(bytes)) wrong.push(`${hex(at)} differs`);
	}
	expect(wrong).toEqual([]);
	expect(compared).toBeGreaterThan(50);
}

function compareBounds(images: ReadImages, { pid, stat, maps, auxv }: Snapshot): void {
	const mm = only(images.records(`mm-${pid}.img`));
	// start_code … env_end of mm_entry, without brk (7), and the fields of proc(5) that tell them
	const found = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11].map((field) => hex(mm.number(field)));
	expect(found).toEqual([26, 27, 45, 46, 28, 47, 48, 49, 50, 51].map((field) => hex(stat(field))));
	const heap = present(maps.find(({ name }) => name === "[heap]"));
	expect(mm.number(7) > heap.end - PAGE && mm.number(7) <= heap.end).toBe(true);
	const end = auxv.findIndex((type, i) => i % 2 === 0 && type === 0n);
	expect(mm.numbers(13)).toEqual(auxv.slice(0, end).slice(0, 44));
}

function compareThreads(images: ReadImages, { pid, comm, threads }: Snapshot, masks: boolean): void {
	const tids = only(images.records("pstree.img")).numbers(5).map(Number);
	expect(tids[0]).toBe(pid);
	expect([...tids].sort()).toEqual(threads.map(({ tid }) => tid).sort());
	const memory = restoredMemory(images, pid);
	for (const { tid, blocked, sp, pc } of threads) {
		const image = only(images.records(`core-${tid}.img`));
		const leader = tid === pid;
		const mask = leader ? image.message(3).number(5) : image.message(5).number(6);
		if (masks) expect(mask).toBe(blocked);
		const info = image.message(2);
		expect(hex(info.message(2).number(20))).toBe(hex(sp));
		expect([pc, pc - 2n].map(hex)).toContain(hex(info.message(2).number(17)));
		// glibc keeps the thread's id where the kernel clears it, and an rseq area on some processor
		expect(memory.read(info.number(1), 4).readInt32LE()).toBe(tid);
		expect(memory.read(image.message(5).message(15).number(1) + 4n, 4).readUInt32LE()).toBeLessThan(4096);
		const [head, next] = wordsOf(memory.read(image.message(5).number(1), 16));
		expect(head).toBe(image.message(5).number(1));
		expect(next).toBeDefined();
		if (leader) expect(image.message(3).text(6)).toBe(comm);
	}
}
