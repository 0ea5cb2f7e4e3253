import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { until } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

// A server of several processes, seen from outside: asked before its death and after.

const able = canHaveRooms() && hasTool("python3");
const needs = able ? "" : " (needs root, unshare, nsenter and python3)";

const SERVER = join(import.meta.dirname, "../support/lives/prefork.py");
const PORT = 7123;

const { directory, room, necromancer, begin, empty } = ownRoom({ able }, () => {});
const output = join(directory, "output");

interface Answer {
	readonly pid: number;
	readonly own: number;
	readonly total: number;
}

const CLIENT = `
import socket, sys
for _ in range(int(sys.argv[1])):
    with socket.create_connection(("127.0.0.1", ${PORT})) as server: print(server.makefile().read().strip())
`;

function ask(times: number): Answer[] {
	const { status, stdout, stderr } = room().run(["python3", "-c", CLIENT, `${times}`]);
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	return stdout
		.trim()
		.split("\n")
		.map((line) => {
			const [pid = 0, own = 0, total = 0] = line.split(" ").map(Number);
			return { pid, own, total };
		});
}

describe.skipIf(!able)(`a preforking server${needs}`, () => {
	it("answers after its death as it would have: each worker goes on counting, all in one memory", async () => {
		const parent = begin(["python3", SERVER, `${PORT}`, "3"], { output });
		const [ready = ""] = await linesOf(output, 1);
		const workers = ready.split(" ").slice(1).map(Number);
		const before = ask(9);
		expect(before.map(({ total }) => total)).toEqual(Array.from({ length: 9 }, (_, i) => i + 1));
		const images = join(directory, "images");
		const dumped = necromancer("dump", "-q", "-t", `${parent}`, "-i", images);
		expect(dumped).toEqual({ status: 0, stdout: "", stderr: "" });
		await empty();
		expect(necromancer("restore", "-d", "-i", images).status).toBe(0);
		expect(new Set(room().pids())).toEqual(new Set([parent, ...workers]));
		const counts = new Map(before.map(({ pid, own }) => [pid, own]));
		for (const [i, { pid, own, total }] of ask(9).entries()) {
			expect(workers).toContain(pid);
			expect(total).toBe(10 + i);
			expect(own).toBe((counts.get(pid) ?? 0) + 1);
			counts.set(pid, own);
		}
		const logged = (): string[] => readFileSync(join(directory, "log"), "utf8").trim().split("\n");
		expect(await until(() => logged().length === 18)).toBe(true);
		expect(
			logged()
				.map(Number)
				.sort((a, b) => a - b),
		).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
		// the parent waits for its workers, and hears how they end
		room().run(["kill", "-TERM", `${workers[1]}`]);
		expect(await linesOf(output, 2)).toEqual([ready, `ended ${workers[1]} 15`]);
		expect(new Set(ask(4).map(({ pid }) => pid))).not.toContain(workers[1]);
	});
});
