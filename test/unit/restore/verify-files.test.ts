import { closeSync, openSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import type { Description } from "../../../src/descriptors/kinds.ts";
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
	return differencesOf(number, { kind: "file", id: 1, flags: 0, path, position: 0n, unlinked: false });
};

const differencesOf = (number: number, description: Description): readonly string[] => {
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

	it("is told of what has no path by its kind", () => {
		const common = { id: 1, flags: 0 };
		expect(differencesOf(plain, { ...common, kind: "eventfd", counter: 0n })).toEqual([
			`descriptor ${plain} is /dev/null, expected anon_inode:[eventfd]`,
		]);
		expect(differencesOf(plain, { ...common, kind: "memfd", object: 1, name: "jit", position: 0n })).toEqual([
			`descriptor ${plain} is of /dev/null, expected /memfd:jit (deleted)`,
		]);
		expect(differencesOf(plain, { ...common, kind: "socket-pair", pair: 1 })).toEqual([]);
	});
});
