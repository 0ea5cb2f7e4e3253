import { closeSync, openSync, statSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { readMaps } from "../../../src/proc/maps.ts";
import { fileDifferences } from "../../../src/restore/verify-files.ts";
import type { Description } from "../../../src/task/files.ts";
import { taskOfThreads, threadOf } from "../../support/builders/thread-task.ts";

/** The process that is looked at is this one, which once had another id. */
const [here, once] = [process.pid, 4_194_305];
const fd = openSync(`/proc/${here}/status`, "r");
const plain = openSync("/dev/null", "r");
afterAll(() => {
	for (const open of [fd, plain]) closeSync(open);
});

const differences = (number: number, path: string, judged = new Map()): readonly string[] => {
	const description: Description = { kind: "file", id: 1, flags: 0, path, position: 0n, unlinked: false };
	const { memory, identity } = taskOfThreads([threadOf(once)]);
	const files = { descriptors: [{ number, description, closeOnExec: false }] };
	const task = { memory, files, identity: { ...identity, pid: once } };
	return fileDifferences(here, task, readMaps("self"), { fds: new Map() }, judged);
};

describe("what of a process is another file than the one that was found right", () => {
	it("is told of what /proc shows by its name, which hangs on the process's id", () => {
		expect(differences(fd, `/proc/${once}/status`)).toEqual([]);
		expect(differences(fd, `/proc/${once}/maps`)).toEqual([
			`descriptor ${fd} is /proc/${here}/status, expected /proc/${here}/maps`,
		]);
		expect(differences(plain, "/proc/uptime")).toEqual([`descriptor ${plain} is /dev/null, expected /proc/uptime`]);
	});

	it("is told of others by device and inode", () => {
		const { dev, ino, birthtimeNs } = statSync("/dev/null", { bigint: true });
		const right = { device: dev, inode: ino, birth: birthtimeNs };
		expect(differences(plain, "/dev/null", new Map([["/dev/null", right]]))).toEqual([]);
		expect(differences(plain, "/dev/null", new Map([["/dev/null", { ...right, inode: ino + 1n }]]))).toEqual([
			`descriptor ${plain} is not /dev/null as it was found`,
		]);
	});
});
