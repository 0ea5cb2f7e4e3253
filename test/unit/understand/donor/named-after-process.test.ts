import { describe, expect, test } from "vitest";
import type { OpenFile } from "../../../../src/descriptors/file.ts";
import type { Finding } from "../../../../src/finding.ts";
import { isPassing, namedAfter, withOwnNames } from "../../../../src/understand/donor/named-after-process.ts";
import { smallTask } from "../../../support/builders/small-task.ts";

const [donorPid, deadPid] = [80, 4711];
const file = (path: string, more: Partial<OpenFile> = {}): OpenFile => ({
	...{ kind: "file", id: 9, flags: 0o102002, path, position: 5n, unlinked: false, size: 77n, mode: 0o100644 },
	...more,
});

/** What a donor's descriptor 0 becomes where these paths are. */
function own(lent: OpenFile, here: readonly string[], named: readonly number[] = [], foreign: readonly string[] = []) {
	const findings: Finding[] = [];
	const names = {
		...{ donorPid, deadPid, named: new Set(named) },
		modeOf: (path: string) => (here.includes(path) ? 0o100644 : undefined),
		isOwn: (path: string) => !foreign.includes(path),
	};
	const { files } = smallTask({ open: [lent, lent] });
	const { descriptors } = withOwnNames(files, names, (finding) => findings.push(finding));
	expect(descriptors.map(({ number }) => number)).toEqual([0, 1]);
	expect(descriptors[1]?.description).toBe(named.length > 0 ? lent : descriptors[0]?.description);
	return { file: descriptors[0]?.description, said: findings.map(({ weight, text }) => `${weight}: ${text}`) };
}

test("a file is named after a process where its id stands alone", () => {
	expect(namedAfter("/tmp/hsperfdata_me/80", 80, 4711)).toBe("/tmp/hsperfdata_me/4711");
	expect(namedAfter("/dev/shm/mono.80", 80, 4711)).toBe("/dev/shm/mono.4711");
	expect(namedAfter("/dev/shm/mono.8080-180", 80, 4711)).toBe("/dev/shm/mono.8080-180");
	expect(namedAfter("/tmp/shared-80/data", 80, 4711)).toBe("/tmp/shared-80/data");
	expect(namedAfter("/srv/part.80", 80, 4711)).toBe("/srv/part.80");
	expect(namedAfter("/var/log/prog.INFO.4711", 4711, 80)).toBe("/var/log/prog.INFO.80");
	expect(isPassing("/dev/shm/mono.80", 80)).toBe(true);
	expect(isPassing("/tmp/shared-80/data", 80)).toBe(false);
	expect(isPassing("/dev/shm/mono.81", 80)).toBe(false);
	expect(isPassing("/srv/data/80", 80)).toBe(false);
});

describe("a donor's file that is named after it", () => {
	const lent = file("/tmp/count.80");
	const { size: _size, ...looks } = lent;

	test("is the dead process's own where that is here, whose size is not known", () => {
		expect(own(lent, ["/tmp/count.4711", "/tmp/count.80"])).toEqual({
			file: { ...looks, path: "/tmp/count.4711" },
			said: ["note: is named after the donor's process; /tmp/count.4711 is that of the dead process"],
		});
	});

	test("is lent where only that is here", () => {
		expect(own(lent, ["/tmp/count.80"])).toEqual({
			file: lent,
			said: [
				"caution: is named after the donor's process and may be its own; that of the dead process, /tmp/count.4711, is not here",
			],
		});
	});

	test("is not one that another user has made under that name", () => {
		const all = ["/tmp/count.4711", "/tmp/count.80"];
		expect(own(lent, all, [], ["/tmp/count.4711"]).file).toBe(lent);
	});

	test("is lost where neither is", () => {
		expect(own(lent, [])).toEqual({
			file: { kind: "file", id: 9, flags: 0o2002, path: "/dev/null", position: 0n, unlinked: false },
			said: [
				"loss: was named after the donor's process and is gone; that of the dead process, /tmp/count.4711, is not here either: /dev/null takes its place",
			],
		});
	});

	test("stays where the user names another", () => {
		expect(own(lent, [], [0, 1])).toEqual({ file: lent, said: [] });
	});
});

test.each([
	["another name", file("/tmp/count")],
	["no name any more", file("/tmp/count.80", { unlinked: true })],
	["its bytes in the images", file("/tmp/count.80", { ghost: 3 })],
	["a name in /proc", file("/proc/80/status")],
])("a file of the donor's with %s stays as it is", (_, lent) => {
	expect(own(lent, [])).toEqual({ file: lent, said: [] });
});
