import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { expect, it } from "vitest";
import { descriptorsOf, readFdinfo } from "../../../src/proc/fdinfo.ts";
import { ifShown } from "../../../src/proc/if-shown.ts";
import { isLinkWritable, readLink, statLink } from "../../../src/proc/links.ts";
import { readMaps, vdsoAreas } from "../../../src/proc/maps.ts";
import { readIdMap, readNamespace } from "../../../src/proc/namespaces.ts";
import { readCgroup, readComm, readCoredumpFilter } from "../../../src/proc/single-values.ts";
import { readSmaps } from "../../../src/proc/smaps.ts";
import { readStat } from "../../../src/proc/stat.ts";
import { readStatus } from "../../../src/proc/status.ts";
import { isIdTaken, processes, threadsOf } from "../../../src/proc/tasks.ts";
import { refusal } from "../../support/refusal.ts";

const us = process.pid;
/** A process that has ended, and was waited for. */
const gone = spawnSync("true").pid;

it("reads this process as itself, by its number and by its thread", () => {
	for (const whose of ["self", us, { pid: us, tid: us }] as const) {
		expect(readStatus(whose)).toMatchObject({ tgid: us, kernelThread: false });
		expect(readStat(whose)).toMatchObject({ ppid: process.ppid, comm: readComm(whose) });
		expect(vdsoAreas(readMaps(whose)).at(-1)?.name).toBe("[vdso]");
		expect(readSmaps(whose).length).toBeGreaterThan(10);
	}
	expect(threadsOf(us)).toContain(us);
	expect([isIdTaken(us), isIdTaken(gone), processes().includes(us)]).toEqual([true, false, true]);
	expect(readNamespace("self", "pid")).toMatch(/^pid:\[\d+\]$/);
	expect(readIdMap("self", "uid").length).toBeGreaterThan(0);
	expect([readCoredumpFilter("self"), readCgroup("self")]).not.toContain(NaN);
});

it("reads what a descriptor leads to", () => {
	const fd = openSync("/dev/null", "r");
	try {
		expect(descriptorsOf("self")).toContain(fd);
		expect(readLink("self", `fd/${fd}`)).toBe("/dev/null");
		expect(statLink("self", `fd/${fd}`).isCharacterDevice()).toBe(true);
		expect([readFdinfo("self", fd).position, isLinkWritable("self", `fd/${fd}`)]).toEqual([0n, false]);
	} finally {
		closeSync(fd);
	}
});

it("tells of a process that has ended in the same words, whatever was to be read", () => {
	const readings = [readStatus, readStat, readMaps, readSmaps, readComm, descriptorsOf, threadsOf] as const;
	for (const read of readings)
		expect(refusal(() => read(gone))).toBe(`ERR_PROCESS process ${gone}: is not there, expected a living process`);
	expect(refusal(() => readStatus({ pid: us, tid: gone }))).toBe(
		`ERR_PROCESS thread ${gone}: is not there, expected a living process`,
	);
	expect(refusal(() => readLink("self", "fd/999999"))).toBe(
		`ERR_PROCESS process ${us}: has no fd/999999, expected a living process, and a kernel that tells`,
	);
	expect(ifShown(() => readStatus(gone))).toBeUndefined();
});

it("passes over nothing but what is not shown", () => {
	expect(() =>
		ifShown(() => {
			throw new RangeError("a bug");
		}),
	).toThrow("a bug");
});
