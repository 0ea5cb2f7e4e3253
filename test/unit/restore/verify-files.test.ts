import { closeSync, openSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import type { Description } from "../../../src/forest/files.ts";
import { descriptorDifferences } from "../../../src/restore/verify-files.ts";
import { taskOfThreads, threadOf } from "../../support/builders/thread-task.ts";

/** The process that is looked at is this one, which once had another id. */
const [here, once] = [process.pid, 4_194_305];
const fd = openSync(`/proc/${here}/status`, "r");
const plain = openSync("/dev/null", "r");
afterAll(() => {
	for (const open of [fd, plain]) closeSync(open);
});

const differences = (number: number, path: string): readonly string[] => {
	const description: Description = { kind: "file", id: 1, flags: 0, path, position: 0n, unlinked: false };
	const { identity } = taskOfThreads([threadOf(once)]);
	const files = { descriptors: [{ number, description, closeOnExec: false }] };
	const task = { files, identity: { ...identity, pid: once } };
	return descriptorDifferences(here, task, { fds: new Map() });
};

describe("what of a process is another descriptor than was planned", () => {
	it("is told of what /proc shows by its name, which hangs on the process's id", () => {
		expect(differences(fd, `/proc/${once}/status`)).toEqual([]);
		expect(differences(fd, `/proc/${once}/maps`)).toEqual([
			`descriptor ${fd} is /proc/${here}/status, expected /proc/${here}/maps`,
		]);
		expect(differences(plain, "/proc/uptime")).toEqual([`descriptor ${plain} is /dev/null, expected /proc/uptime`]);
	});
});
