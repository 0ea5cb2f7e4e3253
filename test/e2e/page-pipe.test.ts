import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";
import { readPages } from "../support/witness/pagemap-file.ts";

// The pages of a process go through a pipe of its own into the file: all of them, from wherever they lie, and whatever else
// is done to the pipe; and nothing of it stays.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-pages-"));
const program = join(directory, "pages");
let dist = "";
beforeAll(() => {
	if (!able) return;
	dist = built();
	execFileSync("gcc", ["-w", "-O1", "-o", program, resolve(import.meta.dirname, "../support/lives/pages.c")]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

interface Victim {
	readonly room: Room;
	readonly pid: number;
}

async function victimOf(harder: string): Promise<Victim> {
	const room = await openRoom();
	rooms.push(room);
	const log = join(directory, `log of ${harder || "none"}`);
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	// the kernel writes the number of the processor into the areas of rseq
	const env = { GLIBC_TUNABLES: "glibc.pthread.rseq=0" };
	const { stdout } = room.run(["sh", "-c", script, "sh", log, program, harder], env);
	await linesOf(log, 1);
	return { room, pid: Number(stdout) };
}

/** What a look at it from outside shows. */
const looksOf = ({ room, pid }: Victim) => {
	const of = (name: string): string => room.path(`/proc/${pid}/${name}`);
	return {
		maps: readFileSync(of("maps"), "latin1"),
		descriptors: readdirSync(of("fd")).map((fd) => `${fd} ${readlinkSync(of(`fd/${fd}`))}`),
	};
};

describe.skipIf(!able)(`pages by a pipe${needs}`, () => {
	it.each([
		["whole, scattered, untouchable, write-only and behind a protection key", ""],
		["of a process that may have no more descriptors", "no descriptor"],
		["of one whose pipe another process reads from", "robbed"],
		["of one whose pipe another process makes small", "shrunk"],
	])("%s", async (_, harder) => {
		const victim = await victimOf(harder);
		const before = looksOf(victim);
		const images = join(directory, `images of ${harder || "none"}`);
		const { status, stderr } = victim.room.run([
			...[process.execPath, join(dist, "cli/main.js"), "dump", "-R", "-q"],
			...["-t", `${victim.pid}`, "-i", images],
		]);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(looksOf(victim)).toEqual(before);

		const pages = readPages(images, `pagemap-${victim.pid}.img`, "pages-1.img");
		// 5 MiB, half of 16, 6 and 2; the rest is libc and stack
		expect(pages.size).toBeGreaterThan((5 + 8 + 6 + 2) * 256);
		const memory = openSync(victim.room.path(`/proc/${victim.pid}/mem`), "r");
		try {
			const there = Buffer.alloc(4096);
			const different = [...pages].filter(([at, bytes]) => {
				if (readSync(memory, there, 0, 4096, at) !== 4096) throw new Error(`cannot read at ${at.toString(16)}`);
				return !there.equals(bytes);
			});
			expect(different.map(([at]) => at.toString(16))).toEqual([]);
		} finally {
			closeSync(memory);
		}
	});
});
