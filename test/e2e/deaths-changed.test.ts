import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { deathsRoom } from "../support/lives/deaths-room.ts";
import type { Ran, Room } from "../support/lives/room.ts";

// Programs and libraries that were built anew after a death, without build-ids, and a core that was copied since: the file's
// time says nothing, and the new code would run as if it were the dead process's.

let room: Room;
const deaths = deathsRoom({}, (there) => {
	({ room } = there);
});
const { able, needs, directory } = deaths;
const [core, program, library] = ["copy", "stepping", "libstep.so"].map((name) => join(directory, name)) as [
	string,
	string,
	string,
];
const raise = (...args: readonly string[]): Ran => deaths.raise(...args, core);

/** As a linker's new run leaves it: another inode of the same name. */
function build(path: string, ...args: readonly string[]): void {
	const source = fileURLToPath(new URL("../support/lives/stepping.c", import.meta.url));
	rmSync(path, { force: true });
	execFileSync("gcc", ["-O0", "-Wl,--build-id=none", "-o", path, source, ...args]);
}
const buildLibrary = (...args: readonly string[]): void => build(library, "-shared", "-fPIC", "-DLIBRARY", ...args);
const buildUser = (): void => build(program, "-DUSER", `-L${directory}`, "-lstep", `-Wl,-rpath,${directory}`);

/** Dies; what `anew` builds is there when its core is copied. Yields the old sizes and the new. */
function dieBefore(anew: () => void, filter: string): void {
	const script = 'cd "$1"; echo "$2" >/proc/self/coredump_filter; ulimit -c unlimited; ./stepping; mv core* whole; :';
	room.run(["sh", "-c", script, "sh", directory, filter]);
	anew();
	copyFileSync(join(directory, "whole"), core);
	rmSync(join(directory, "whole"));
}

/** With the pages of ELF headers, as kernels write cores unless they are told otherwise; without them. */
const WITH_HEADERS = "0x33";
const WITHOUT = "0x23";

const doubts = ({ stdout }: Ran): Record<string, string>[] =>
	JSON.parse(stdout).findings.filter(
		({ code, subject }: Record<string, string>) => code === "file-unverified" && subject?.startsWith(directory),
	);

describe.skipIf(!able)(`a core that was copied after${needs}`, () => {
	it.each([
		[WITH_HEADERS, "the file has the same program headers, and the core has no build-id to tell more by"],
		[WITHOUT, "nothing in the core tells whether the file is the one that was mapped"],
	])("its program got other code in the same place (filter %s): that nothing tells is told", (filter, text) => {
		build(program, "-DSTEP=2");
		const { size } = statSync(program);
		dieBefore(() => build(program, "-DSTEP=3"), filter);
		expect(statSync(program).size).toBe(size);
		const raised = raise("--json", "--check");
		expect(raised).toMatchObject({ status: 0, stderr: "" });
		expect(doubts(raised)).toEqual([{ weight: "caution", code: "file-unverified", subject: program, text }]);
	});

	it.each([WITH_HEADERS, WITHOUT])("so did a library of it (filter %s)", (filter) => {
		buildLibrary("-DSTEP=2");
		buildUser();
		dieBefore(() => buildLibrary("-DSTEP=3"), filter);
		expect(doubts(raise("--json", "--check")).map(({ weight, subject }) => [weight, subject])).toEqual([
			["caution", program],
			["caution", library],
		]);
	});

	it.each([
		[WITH_HEADERS, /^has other program headers/],
		[WITHOUT, /^has another dynamic section, expected that of the dead process/],
	])("its program is a larger one by now (filter %s): refused", (filter, why) => {
		build(program, "-DSTEP=2");
		dieBefore(() => build(program, "-DSTEP=2", "-DMORE=1"), filter);
		const { status, stdout, stderr } = raise("--run");
		expect([status, stdout]).toEqual([5, ""]);
		expect(stderr).toMatch(/ \[ERR_BINARY_MISMATCH\]\n$/);
		expect(stderr.slice(`necromancer: ${program}: `.length)).toMatch(why);
		expect(room.pids()).toEqual([]);
	});
});
