import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { asked, beginLife, compileLives, necromancer, until } from "../support/lives/lives.ts";
import { canHaveRooms, openRoom, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

const able = canHaveRooms() && hasGcc();

const directory = mkdtempSync(join(tmpdir(), "necromancer-copy-on-write-"));
let dist = "";
beforeAll(() => {
	dist = built();
	if (able) compileLives(directory, ["descended"]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** KiB that all processes of a room have together, each page counted once, by the kernel's own reckoning. */
const proportional = (room: Room): number =>
	room.pids().reduce((sum, pid) => {
		const text = readFileSync(room.path(`/proc/${pid}/smaps_rollup`), "latin1");
		return sum + Number(/^Pss:\s+(\d+)/m.exec(text)?.[1]);
	}, 0);

describe.skipIf(!able)(
	`memory that children have from their parent${able ? "" : " (needs root, unshare, nsenter and gcc)"}`,
	() => {
		it("is theirs again, byte for byte, and in memory once where nobody has changed it", async () => {
			const room = await openRoom();
			try {
				const life = await beginLife(room, directory, dist, "descended");
				expect(await asked(life)).toBe("right");
				const before = proportional(room);
				const images = join(directory, "images");
				const dumped = necromancer(life, ["dump", "-t", `${life.pid}`, "-i", images, "-q"]);
				expect([dumped.stderr, dumped.status]).toEqual(["", 0]);
				expect(await until(() => room.pids().length === 0)).toBe(true);
				const { status } = necromancer(life, ["restore", "-d", "-i", images]);
				expect([status, room.pids().length]).toEqual([0, 5]);
				expect(await asked(life)).toBe("right");
				// five times 8 MiB, were each to have its own; some tables of the kernel's and pages of libraries vary
				expect(before).toBeGreaterThan(8 * 1024);
				expect(proportional(room)).toBeLessThan(before * 1.3);
			} finally {
				await room.close();
			}
		}, 60_000);
	},
);
