import { describe, expect, test } from "vitest";
import { deadStack } from "../../support/builders/dead-stack.ts";
import { deduced, told, withGlibc } from "../../support/builders/deduced-core.ts";
import { changeSegment, deadCore } from "../../support/builders/pair.ts";
import type { OnHost } from "../../support/builders/understood.ts";
import { present } from "../../support/present.ts";

const MODES: Readonly<Record<string, number>> = {
	...{ "/": 0o040755, "/dev/null": 0o020666, "/dev/pts/3": 0o020620, "/var/log/x": 0o100644, "/home/me": 0o040700 },
};
const options = (more: OnHost = {}): OnHost => ({
	modeOf: (path) => MODES[path],
	...more,
});
const filesOf = (more: OnHost = {}) => deduced(undefined, options(more)).task.files;
const [RDWR, APPEND, DIRECTORY] = [0o2, 0o2000, 0o200000];

describe("descriptors", () => {
	test("are three of /dev/null, unless something names more", () => {
		expect(filesOf().descriptors).toEqual(
			[0, 1, 2].map((number) => ({
				number,
				closeOnExec: false,
				description: { kind: "file", id: number, flags: RDWR, path: "/dev/null", position: 0n, unlinked: false },
			})),
		);
		expect(told(deduced(undefined, options()), "files-default")).toEqual([
			"loss descriptors: a core lists none: 0, 1, 2 are /dev/null; all other files and sockets that it had open are closed; reopen them with --fd N=PATH",
		]);
	});

	test("are the user's files: regular ones written at their end, directories read, devices both", () => {
		const fds = new Map([
			[1, "/var/log/x"],
			[4, "/home/me"],
			[9, "/dev/pts/3"],
		]);
		const found = filesOf({ fds }).descriptors.map(({ number, description: it }) => [
			number,
			"path" in it ? it.path : it.kind,
			it.flags,
		]);
		expect(found).toEqual([
			[0, "/dev/null", RDWR],
			[1, "/var/log/x", RDWR | APPEND],
			[2, "/dev/null", RDWR],
			[4, "/home/me", DIRECTORY],
			[9, "/dev/pts/3", RDWR],
		]);
	});

	test("are a terminal where one is given", () => {
		const found = deduced(undefined, options({ tty: "/dev/pts/3", fds: new Map([[2, "/var/log/x"]]) }));
		expect(found.task.files.descriptors.map(({ description: it }) => ("path" in it ? it.path : ""))).toEqual([
			...["/dev/pts/3", "/dev/pts/3", "/var/log/x"],
		]);
		expect(told(found, "files-default")[0]).toMatch(/: 0, 1 are \/dev\/pts\/3; all other/);
	});
});

describe("the working directory", () => {
	const withEnvironment = (env: readonly string[]) => {
		const core = deadCore();
		const stack = deadStack(["prog"], env, {
			size: 0x5000,
			more: [
				[3, 0x5555_5555_4040n],
				[9, 0x5555_5555_5000n],
			],
		});
		const old = present((core.segments ?? []).find(({ end }) => end === 0x7ffd_0000_0000n));
		const changed = changeSegment({ ...core, auxv: stack.auxv }, old.start, (it) => ({ ...it, bytes: stack.bytes }));
		return withGlibc(changed);
	};
	const cwdOf = (env: readonly string[], more: OnHost = {}) => {
		const found = deduced(withEnvironment(env), options(more));
		return [
			found.task.files.cwd,
			found.task.files.umask,
			told(found, "default").find((text) => text.includes("umask")),
		];
	};

	test("is where it was started, if that is a directory here", () => {
		expect(cwdOf(["OLDPWD=/var/log/x", "PWD=/home/me"])).toEqual([
			"/home/me",
			0o022,
			"note working directory and umask: not in a core: /home/me, where it was started (PWD); umask 0022",
		]);
	});

	test.each([
		["names none", [], "not in a core: /; umask 0022"],
		[
			"names a file",
			["PWD=/var/log/x"],
			"not in a core, and /var/log/x, where it was started, is no directory here: /; umask 0022",
		],
		[
			"names a path that starts nowhere",
			["PWD=me"],
			"not in a core, and me, where it was started, is no directory here: /; umask 0022",
		],
	])("is the root where the environment %s", (_, env, text) => {
		expect(cwdOf(env)).toEqual(["/", 0o022, `caution working directory and umask: ${text}`]);
	});

	test("is the user's", () => {
		expect(cwdOf(["PWD=/home/me"], { cwd: "/srv" })).toEqual(["/srv", 0o022, "note umask: not in a core: umask 0022"]);
	});
});
