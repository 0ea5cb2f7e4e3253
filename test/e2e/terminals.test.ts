import { join, resolve } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, openRoom, type Room } from "../support/lives/room.ts";
import { scratch } from "../support/scratch.ts";
import { hasTool } from "../support/tools.ts";

// Terminals come back with what waits in them, and jobs on the terminal of whoever restores them.

const able = canHaveRooms() && hasTool("python3") && hasTool("bash");
const needs = able ? "" : " (needs root, unshare, nsenter, python3 and bash)";

let dist = "";
beforeAll(() => {
	dist = built();
});

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

/** Ptys of its own, so that no index is anybody else's. */
const PTYS =
	"mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts /dev/pts && mount --bind /dev/pts/ptmx /dev/ptmx";

/** What test/support/lives/terminals.py tells. */
async function lived(way: string): Promise<Record<string, unknown>> {
	const where = await openRoom();
	rooms.push(where);
	const life = resolve(import.meta.dirname, "../support/lives/terminals.py");
	const tool = [process.execPath, join(dist, "cli/main.js")];
	const script = `${PTYS} && IMAGES=$1 && export IMAGES && shift && exec python3 "$@"`;
	const { status, stdout, stderr } = where.run(["sh", "-c", script, "sh", scratch(), life, way, ...tool]);
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	return JSON.parse(stdout) as Record<string, unknown>;
}

describe.skipIf(!able)(`terminals${needs}`, () => {
	it("with both ends come back with index, settings, size, session, and every line that waits", async () => {
		const told = await lived("pair");
		expect(told).toMatchObject({
			"kept running": [0, expect.stringContaining("goes on")],
			dumped: [0, expect.stringContaining("was ended")],
			restored: [0, expect.stringContaining("restored process")],
			seen: {
				...{ name: "/dev/pts/1", lines: ["first line\n", "end", "parial\n"], output: "printed\r\n" },
				...{ size: [33, 132, 7, 9], echo: false, erase: "08", foreground: true },
			},
		});
		const { pid, controls } = told["seen"] as { readonly pid: number; readonly controls: readonly string[] };
		// session, terminal (136:1) and foreground group of proc_pid_stat(5)
		expect(controls).toEqual([`${pid}`, `${(136 << 8) | 1}`, `${pid}`]);
	});

	it("that one of the processes holds come back with the shell in them, its jobs and who is in the foreground", async () => {
		const told = await lived("held");
		expect(told).toMatchObject({
			dumped: [0, expect.stringContaining("6 processes")],
			restored: [0, expect.stringContaining("and 5 below it")],
			said: expect.stringMatching(/\^C[\s\S]*\[1\]\+ {2}Stopped +sleep 1000 \| cat\n\/dev\/pts\/0\nhey-5/),
		});
	});

	it("of a shell's jobs are refused by name, and with --shell-job those of whoever restores them", async () => {
		const told = await lived("job");
		const { pid } = told as { readonly pid: number };
		expect(told).toMatchObject({
			refused: [
				6,
				expect.stringMatching(
					/0 is the terminal \/dev\/pts\/0, whose other end is not among what is dumped \(--shell-job leaves it there\), /,
				),
			],
			dumped: [0, expect.stringContaining("2 processes")],
			without: [
				6,
				expect.stringMatching(
					/0 was the terminal \/dev\/pts\/0, whose other end none of these processes has \(--shell-job gives it yours\), /,
				),
			],
			foreground: "two\r\ntwo\r\n",
			same: expect.stringContaining(`\n41-${pid}\r\n`),
			stopped: expect.stringMatching(/\^Z\r\n\[1\]\+ {2}Stopped +sleep 100 \| cat/),
			interrupted: expect.stringContaining("^C"),
			status: expect.stringContaining("status 7"),
		});
		expect(told["no terminal"]).toEqual([
			2,
			"necromancer: --shell-job: none of our standard streams is a terminal, expected one to hand on; name files with --fd N=PATH [ERR_USAGE]\n",
		]);
	});
});
