import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { type ImageDir, openImageDir } from "../../src/criu/image-dir.ts";
import type { Task } from "../../src/forest/task.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { fixtureCore, fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { patchInto } from "../support/builders/patching.ts";
import { writeImagesOf } from "../support/builders/written-images.ts";
import { present } from "../support/present.ts";
import { digests } from "../support/witness/directory-print.ts";
import { CORE_NESTING, fieldsBeyond, flat, type Nesting } from "../support/witness/flat-message.ts";
import { type ReadImages, readImages } from "../support/witness/image-reader.ts";
import { withoutBytes } from "../support/witness/task-bytes.ts";
import { restoredMemory } from "../support/witness/witness.ts";

/*
 * What CRIU 4.2 wrote of a process, read as a task and written anew: the same images, byte for byte where nothing is left
 * out. What is left out is listed here, and restored without.
 */

const MM_NESTING: Nesting = { 14: {} };
const FILE_NESTING: Nesting = { 3: { 5: {} }, 9: { 3: {}, 4: {} }, 18: { 4: {} } };

describe.each(fixtureNames)("%s", (name) => {
	const folder = mkdtempSync(join(tmpdir(), "necromancer-to-images-"));
	afterAll(() => {
		for (const dir of dirs) dir.close();
		rmSync(folder, { recursive: true, force: true });
	});
	const path = fixturePath(`${name}/images`);
	const theirs = readImages(path);
	let ours: ReadImages;
	let task: Task;
	let again: Task;
	const dirs: ImageDir[] = [];
	const taskAt = (directory: string): Task => {
		const dir = openImageDir(directory);
		dirs.push(dir);
		return taskFromImages(dir);
	};
	beforeAll(async () => {
		task = taskAt(path);
		const out = join(folder, "images");
		expect(await writeImagesOf(task, out)).toEqual([]);
		ours = readImages(out);
		again = taskAt(out);
	});
	const pid = (): number => task.identity.pid;

	test("is the same process again", () => {
		expect(withoutBytes(again)).toEqual(withoutBytes(task));
	});

	test("has the same files, but for statistics and the list of no seccomp filters", () => {
		expect(ours.names).toEqual(theirs.names.filter((file) => file !== "stats-dump" && file !== "seccomp.img"));
	});

	test("has tree, ids, directories, descriptors, pipes and clocks byte for byte", () => {
		const same = ["pstree.img", `ids-${pid()}.img`, `fs-${pid()}.img`, "fdinfo-2.img", "timens-0.img"];
		for (const file of [...same, ...theirs.names.filter((it) => it === "pipes-data.img")])
			expect(ours.raw(file).equals(theirs.raw(file)), file).toBe(true);
	});

	/** Fields of a file's records that the first has and the second has not, or with another value. */
	const beyond = (first: ReadImages, second: ReadImages, file: string, nesting: Nesting): string[] => {
		const [all, others] = [first, second].map((images) => images.records(file).flatMap((it) => flat(it, nesting)));
		return fieldsBeyond(present(all), present(others));
	};

	test("has every field of its cores, save an unused shadow stack, GDT slots, login, unused halves and cgroup", () => {
		for (const { tid } of task.threads) {
			expect(beyond(theirs, ours, `core-${tid}.img`, CORE_NESTING)).toEqual([
				...["2.3.13.9", "2.3.13.9.1", "2.3.13.9.2", "2.4"],
				...(tid === pid() ? ["3.13", "3.15.5"] : []),
				"5.16",
			]);
		}
	});

	test("says more there only of what is as usual", () => {
		for (const { tid } of task.threads) {
			// the leader's mask where other threads have theirs; no_new_privs, seccomp, priority and parent-death signal 0
			const usual = [...["5.10.18", "5.11", "5.5"], ...(tid === pid() ? ["5.6"] : []), "5.8"];
			const more = beyond(ours, theirs, `core-${tid}.img`, CORE_NESTING);
			expect(
				more.filter((field) => !usual.includes(field)),
				`${tid}`,
			).toEqual([]);
		}
	});

	test("has the same memory map and files, but for permissions of directories and what an epoll target was", () => {
		expect(beyond(theirs, ours, `mm-${pid()}.img`, MM_NESTING)).toEqual([]);
		expect(beyond(ours, theirs, `mm-${pid()}.img`, MM_NESTING)).toEqual([]);
		const lost = beyond(theirs, ours, "files.img", FILE_NESTING);
		expect(lost.filter((field) => !["9.4.5", "9.4.6", "9.4.7"].includes(field))).toEqual(["3.10"]);
		expect(beyond(ours, theirs, "files.img", FILE_NESTING)).toEqual([]);
	});

	test("serves as a donor without pages just as well", async () => {
		const core = fromBuffer("core", fixtureCore(name));
		const donors = ["with", "without"].map((which) => join(folder, which));
		for (const [i, donor] of donors.entries()) await writeImagesOf(task, donor, { pages: i === 0 });
		const [full, bare] = await Promise.all(donors.map((donor) => patchInto(core, donor, `${donor}-patched`)));
		expect(present(bare).told).toEqual(present(full).told);
		expect(digests(`${donors[1]}-patched`)).toEqual(digests(`${donors[0]}-patched`));
	});

	test("shows the same bytes everywhere", () => {
		const [mine, other] = [ours, theirs].map((images) => restoredMemory(images, pid()));
		let pages = 0;
		for (const { start, end, status } of present(other).vmas)
			for (let at = start; (status & 0x4) === 0 && at < end; at += 4096n, pages++) {
				const [a, b] = [present(mine).page(at), present(other).page(at)];
				if (typeof a === "string" || typeof b === "string" ? a !== b : !a.equals(b))
					expect.fail(`0x${at.toString(16)}`);
			}
		expect(pages).toBeGreaterThan(100);
	});
});
