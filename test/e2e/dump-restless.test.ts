import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

const able = canHaveRooms() && hasGcc();

const directory = mkdtempSync(join(tmpdir(), "necromancer-restless-"));
let dist = "";
beforeAll(() => {
	dist = built();
	const source = resolve(import.meta.dirname, "../support/lives/restless.c");
	if (able) execFileSync("gcc", ["-w", "-O1", "-pthread", "-o", join(directory, "restless"), source]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(!able)(`dump${able ? "" : " (needs root, unshare, nsenter and gcc)"}`, () => {
	it("takes a process whose threads come and go, and files with confusing names", async () => {
		const room = await openRoom();
		try {
			// names as the kernel writes others
			const names = ["new\nline", "as\\012written", "here (deleted)", "\u001b[31m"].map((name) =>
				join(directory, name),
			);
			for (const name of names) writeFileSync(name, "x".repeat(4096));
			const log = join(directory, "log");
			const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
			const pid = room.run(["sh", "-c", script, "sh", log, join(directory, "restless"), ...names]).stdout.trim();
			expect(await linesOf(log, 1)).toEqual(["ready"]);
			const necromancer = (...args: string[]) => room.run([process.execPath, join(dist, "cli/main.js"), ...args]);
			// of this attempt's own: what one that was cut off has left is not in the way of the next
			const attempt = mkdtempSync(join(directory, "attempt-"));
			for (const images of ["once", "twice"].map((name) => join(attempt, name))) {
				const dumped = necromancer("dump", "-q", "-R", "-t", pid, "-i", images);
				expect([dumped.stderr, dumped.status]).toEqual(["", 0]);
				const shown = JSON.parse(necromancer("show", images, "--json").stdout);
				const text = JSON.stringify(shown);
				for (const name of names) expect(text).toContain(JSON.stringify(name));
			}
			expect(readFileSync(room.path(`/proc/${pid}/status`), "latin1")).toMatch(/^TracerPid:\t0$/m);
		} finally {
			await room.close();
		}
	}, 180_000);

	it("takes a shell whose children end while it looks at them", async () => {
		const room = await openRoom();
		try {
			const script = "setsid sh -c 'while :; do /bin/true; done' </dev/null >/dev/null 2>&1 & echo $!";
			const pid = room.run(["sh", "-c", script]).stdout.trim();
			const attempt = mkdtempSync(join(directory, "shell-"));
			// one in five met one that ended
			for (let i = 0; i < 6; i++) {
				const how = ["-q", "-R", "--no-pages", "-t", pid, "-i", join(attempt, `${i}`)];
				const dumped = room.run([process.execPath, join(dist, "cli/main.js"), "dump", ...how]);
				expect([dumped.stderr, dumped.status]).toEqual(["", 0]);
			}
		} finally {
			await room.close();
		}
	}, 180_000);
});
