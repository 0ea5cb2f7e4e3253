import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { donorOf, writeLargeCore } from "../../scripts/bench/cores.mjs";
import { fixtureText, parseMaps } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { readImages } from "../support/witness/image-reader.ts";
import { differentPages, rseqAreas, vdsoAreas } from "../support/witness/restored-process.ts";
import { restoredMemory } from "../support/witness/witness.ts";

// A process that lives on memory that lies in a file, and one whose memory lies nowhere.

const able = canHaveRooms();
const fixture = "counter-static";
const MIB = 1 << 20;

const directory = mkdtempSync(join(tmpdir(), "necromancer-lazy-"));
const rooms: Room[] = [];
let dist = "";
beforeAll(() => {
	dist = built();
});
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The fixture's core with 4 MiB more, patched into its donor. */
function images(room: Room): string {
	const [core, out] = [join(directory, "core"), join(directory, "images")];
	writeLargeCore(core, 4 * MIB, "random", fixture);
	const command = [
		process.execPath,
		join(dist, "cli/main.js"),
		"-q",
		"--trust",
		"-c",
		core,
		"-i",
		donorOf(fixture),
		"-o",
		out,
	];
	expect(room.run(command)).toEqual({ status: 0, stdout: "", stderr: "" });
	return out;
}

describe.skipIf(!able)(`a process raised lazily${able ? "" : " (needs root, unshare and nsenter)"}`, () => {
	it("shows every page as the images have it, those of its large mapping where they lie, and goes on", async () => {
		const room = await openRoom();
		rooms.push(room);
		room.putLog(fixture);
		const from = images(room);
		const read = readImages(from);
		const pid = Number(present(read.records("pstree.img")[0]).number(1));
		const script = fileURLToPath(new URL("../support/lives/restore-lazily.mjs", import.meta.url));
		expect(room.run([process.execPath, script, dist, from])).toEqual({ status: 0, stdout: "", stderr: "" });

		const memory = restoredMemory(read, pid);
		const { compared, wrong } = differentPages(room.path(`/proc/${pid}/mem`), memory, [
			...rseqAreas(read),
			...vdsoAreas(memory),
		]);
		expect(wrong).toEqual([]);
		expect(compared).toBeGreaterThan((4 * MIB) / 4096);
		const maps = parseMaps(readFileSync(room.path(`/proc/${pid}/maps`), "utf8"));
		const large = present(maps.find(({ start }) => start === 0x6000_0000_0000n));
		expect([large.end - large.start, large.perms, large.name]).toEqual([
			BigInt(4 * MIB),
			"rw-p",
			join(from, "pages-1.img"),
		]);
		// nothing of it is in memory of its own
		expect(/^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(room.path(`/proc/${pid}/status`), "utf8"))?.[1]).toSatisfy(
			(kilobytes) => Number(kilobytes) < 1024,
		);

		const before = fixtureText(fixture, "dead.log").trim().split("\n").length;
		expect(room.run(["kill", "-CONT", `${pid}`]).status).toBe(0);
		const lines = await linesOf(room.path(`/opt/victims/run/${fixture}/log`), before + 3);
		expect(lines.length).toBeGreaterThanOrEqual(before + 3);
	});

	it("and one that is not leaves the holes of its core holes", async () => {
		const room = await openRoom();
		rooms.push(room);
		const core = join(directory, "sparse");
		writeLargeCore(core, 512 * MIB, "hole", fixture);
		const raised = room.run([process.execPath, join(dist, "cli/main.js"), "raise", "--trust", "--json", core]);
		expect({ status: raised.status, stderr: raised.stderr }).toEqual({ status: 0, stderr: "" });
		const { pid } = JSON.parse(raised.stdout);
		const status = readFileSync(room.path(`/proc/${pid}/status`), "utf8");
		const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]);
		expect(kilobytes("VmSize")).toBeGreaterThan(512 * 1024);
		expect(kilobytes("VmRSS")).toBeLessThan(16 * 1024);
	});
});
