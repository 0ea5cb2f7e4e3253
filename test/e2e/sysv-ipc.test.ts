import { execFileSync } from "node:child_process";
import { readFileSync, truncateSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// Everything of System V that a program can have, in an IPC namespace of its own: it sees the same before and after.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

describe.skipIf(!able)(`System V's objects${needs}`, () => {
	const own = ownRoom({ able }, () => {
		const source = resolve(import.meta.dirname, "../support/lives/sysv.c");
		execFileSync("gcc", ["-w", "-O1", "-o", join(own.directory, "sysv"), source]);
	});
	const log = (): string => join(own.directory, "log");
	const said = (): string[] => readFileSync(log(), "utf8").split("end\n").slice(0, -1);
	const images = (): string => join(own.directory, "images");
	const dump = () => own.necromancer("dump", "-t", `${pid()}`, "-i", images());
	const pid = (): number => own.room().pids()[0] ?? 0;

	it("come back with ids, keys, owners, bytes, values and messages, in a namespace of the process's own", async () => {
		own.begin([join(own.directory, "sysv")], { output: log() });
		expect(await soon(() => said().length === 1)).toBe(true);
		const before = said()[0];
		const known = pid();
		const { status, stdout } = dump();
		const losses = stdout.split("\n").filter((line) => line.startsWith("loss"));
		expect([status, losses]).toEqual([
			0,
			[
				`loss    System V semaphores 1: process ${known} has operated on them: what it was to undo at its end (SEM_UNDO) cannot be read, and is not undone any more`,
				"loss    IPC namespace: has POSIX message queues (/left); they and what waits in them do not come back",
			],
		]);
		await own.empty();
		expect(own.necromancer("restore", "-d", "-i", images())).toMatchObject({ status: 0 });
		own.room().run(["kill", "-USR1", `${known}`]);
		expect(await soon(() => said().length === 2)).toBe(true);
		expect(said()[1]).toBe(before);
		const namespaces = ["self", `${known}`].map((who) => own.room().run(["readlink", `/proc/${who}/ns/ipc`]).stdout);
		expect(namespaces[0]).not.toBe(namespaces[1]);

		// without the namespace, memory is memory
		await own.clear();
		truncateSync(log(), (before?.length ?? 0) + "end\n".length);
		const without = own.necromancer("restore", "-d", "-s", "-i", images(), "--allow-lost", "ipc");
		expect([without.status, without.stderr]).toEqual([
			0,
			expect.stringContaining("had its IPC namespace; it has ours"),
		]);
		const memory = own.room().run(["grep", "-c", "/dev/zero", `/proc/${known}/maps`]);
		expect(Number(memory.stdout)).toBeGreaterThan(4);

		// what fails leaves nothing, wherever: the namespace goes with whoever is in it
		await own.clear();
		truncateSync(log(), (before?.length ?? 0) + "end\n".length);
		const plan = own.necromancer("plan", "-i", images(), "--json").stdout;
		const steps = (JSON.parse(plan).lists as { steps: { call: string; id: number }[] }[]).flatMap(({ steps }) => steps);
		for (const call of ["shmget", "semctl", "msgsnd", "shmat", "shmdt"]) {
			const id = steps.find((step) => step.call === call)?.id;
			const failing = own
				.room()
				.run(["env", `NECROMANCER_FAIL_STEP=${id}`, ...own.command("restore", "-d", "-i", images())]);
			expect(failing.stderr).toContain(`: ${call}(`);
			expect([failing.status, own.room().pids()]).toEqual([7, []]);
		}
	});
});
