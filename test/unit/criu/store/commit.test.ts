import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openDirectory } from "../../../../src/bytes/open-directory.ts";
import {
	commitInPlace,
	recover,
	refuseUnfinished,
	whilePatching,
	writeNewDirectory,
} from "../../../../src/criu/store/commit.ts";
import { type Journal, writeJournal } from "../../../../src/criu/store/journal.ts";
import { lock } from "../../../../src/criu/store/lock.ts";
import { donorAt, makeScene, newFiles, oldFiles, play } from "../../../support/builders/scene.ts";
import { refusal, refusalOf } from "../../../support/refusal.ts";
import { contentsOf, modeOf, scratch } from "../../../support/scratch.ts";

describe("in place", () => {
	test("the donor becomes the dead process", async () => {
		const scene = makeScene(scratch());
		const { draft, donor, close } = play(scene);
		const written = await commitInPlace(draft, donor);
		close();
		expect(contentsOf(scene.donor)).toEqual(newFiles);
		expect(written.pages.get("pagemap-200.img")?.pages).toBe(3);
		expect(modeOf(join(scene.donor, "pages-1.img"))).toBe("0600");
		expect(recover(scene.donor)).toBe("clean");
	});

	test("and again, with the disk waited for", async () => {
		const scene = makeScene(scratch());
		await whilePatching(scene.donor, async (held, recovery) => {
			expect(recovery).toBe("clean");
			const { draft, donor, close } = play(scene);
			await commitInPlace(draft, donor, { lock: held, sync: true });
			const copies = new Map([...draft.copies.keys()].map((name) => [name, name]));
			await commitInPlace({ ...draft, copies }, donorAt(scene.donor), { lock: held, sync: true });
			close();
		});
		expect(contentsOf(scene.donor)).toEqual(newFiles);
	});

	test("what is no image stays, as does the link to an earlier dump", async () => {
		const scene = makeScene(scratch());
		mkdirSync(join(scene.donor, "notes"));
		symlinkSync("../first", join(scene.donor, "parent"));
		const { draft, close } = play(scene);
		await commitInPlace(draft, { ...donorAt(scene.donor, "../first"), names: Object.keys(oldFiles) });
		close();
		expect(contentsOf(scene.donor)).toEqual({ ...newFiles, notes: "(folder)", parent: "-> ../first" });
	});

	test("a failure leaves everything as it was", async () => {
		const scene = makeScene(scratch());
		writeFileSync(scene.core, "head");
		const { draft, donor, close } = play(scene);
		expect(await refusalOf(commitInPlace(draft, donor))).toBe(
			`ERR_CORE_TRUNCATED ${scene.core}: ends at 0x4, expected 20480 bytes at 0x4; wait until it is written completely`,
		);
		close();
		expect(contentsOf(scene.donor)).toEqual(oldFiles);
	});

	test("so does an abort", async () => {
		const scene = makeScene(scratch());
		const { draft, donor, close } = play(scene);
		const abort = new AbortController();
		const progress = (): void => abort.abort(new Error("interrupted"));
		await expect(commitInPlace(draft, donor, { signal: abort.signal, progress })).rejects.toThrow("interrupted");
		close();
		expect(contentsOf(scene.donor)).toEqual(oldFiles);
	});

	test("a donor that was read while a mixture is not patched", async () => {
		const scene = makeScene(scratch());
		stage(
			scene.donor,
			{ moves: [{ name: "inventory.img", size: 3 }], removals: [], sync: false },
			{ "inventory.img": "new" },
		);
		const { draft, donor, close } = play(scene);
		expect(await refusalOf(commitInPlace(draft, donor))).toBe(
			`ERR_IMAGE_UNFINISHED ${scene.donor}: an earlier patch was finished after the donor had been read; run it again`,
		);
		close();
		expect(contentsOf(scene.donor)).toEqual({ ...oldFiles, "inventory.img": "new" });
	});
});

describe("into a new directory", () => {
	test.each(["absent", "empty"])("a directory that was %s holds the dead process", async (before) => {
		const home = scratch();
		const scene = makeScene(home);
		const out = join(home, "out");
		if (before === "empty") mkdirSync(out);
		const { draft, donor, close } = play(scene);
		await writeNewDirectory(draft, donor, out, { sync: true });
		close();
		expect(contentsOf(out)).toEqual(newFiles);
		expect(new Set(readdirSync(out).map((name) => modeOf(join(out, name))))).toEqual(new Set(["0600"]));
		if (before === "absent") expect(modeOf(out)).toBe("0700");
		expect(contentsOf(scene.donor)).toEqual(oldFiles);
		expect(readdirSync(home).sort()).toEqual(["core", "images", "out"]);
	});

	test.each(["absent", "empty"])(
		"the link to an earlier dump comes along, into a directory that was %s",
		async (before) => {
			const home = scratch();
			const scene = makeScene(home);
			const out = join(home, "out");
			if (before === "empty") mkdirSync(out);
			const { draft, close } = play(scene);
			await writeNewDirectory(draft, donorAt(scene.donor, "../first"), out);
			close();
			expect(contentsOf(out)).toEqual({ ...newFiles, parent: `-> ${join(home, "first")}` });
		},
	);

	test.each([
		["a directory with files", "images", "holds 14 files"],
		["a file", "core", "is no directory"],
	])("%s is not touched", async (_, name, finding) => {
		const home = scratch();
		const scene = makeScene(home);
		const { draft, donor, close } = play(scene);
		expect(await refusalOf(writeNewDirectory(draft, donor, join(home, name)))).toBe(
			`ERR_OUTPUT_EXISTS ${join(home, name)}: ${finding}, expected an empty directory, or none; name another`,
		);
		close();
		expect(contentsOf(scene.donor)).toEqual(oldFiles);
	});

	test.each(["absent", "empty"])("a failure leaves a directory %s", async (before) => {
		const home = scratch();
		const scene = makeScene(home);
		const out = join(home, "out");
		if (before === "empty") mkdirSync(out);
		writeFileSync(scene.core, "head");
		const { draft, donor, close } = play(scene);
		expect(await refusalOf(writeNewDirectory(draft, donor, out))).toMatch(/^ERR_CORE_TRUNCATED /);
		close();
		expect(readdirSync(home).sort()).toEqual(before === "empty" ? ["core", "images", "out"] : ["core", "images"]);
		if (before === "empty") expect(readdirSync(out)).toEqual([]);
	});

	test("a place that is not there is named", async () => {
		const home = scratch();
		const { draft, donor, close } = play(makeScene(home));
		expect(await refusalOf(writeNewDirectory(draft, donor, join(home, "a/b")))).toBe(
			`ERR_IO ${join(home, "a")}: open failed with ENOENT (no such file)`,
		);
		close();
	});
});

/** Leaves what a patch leaves that dies right after its journal. */
function stage(directory: string, journal: Journal, files: Readonly<Record<string, string>>): string {
	const staging = join(directory, ".necromancer");
	mkdirSync(join(staging, "new"), { recursive: true });
	for (const [name, content] of Object.entries(files)) writeFileSync(join(staging, "new", name), content);
	const open = openDirectory(staging);
	writeJournal(open, journal);
	open.close();
	return staging;
}

describe("what an earlier patch left", () => {
	const inventory = { name: "inventory.img", size: 1 };

	test("is a mixture for those who only read, as soon as it is decided", () => {
		const directory = scratch();
		mkdirSync(join(directory, ".necromancer"));
		refuseUnfinished(directory);
		stage(directory, { moves: [inventory], removals: [], sync: false }, { "inventory.img": "i" });
		expect(refusal(() => refuseUnfinished(directory))).toBe(
			`ERR_IMAGE_UNFINISHED ${directory}: an earlier patch was cut short, expected a finished image directory; patch it again, which finishes the earlier one first`,
		);
		expect(recover(directory)).toBe("finished");
		refuseUnfinished(directory);
		expect(contentsOf(directory)).toEqual({ "inventory.img": "i" });
	});

	test.each([
		["../../etc/passwd", '"../../etc/passwd"'],
		["/etc/passwd", '"/etc/passwd"'],
		["..", '".."'],
		["", '""'],
		["a\0b", '"a\\u0000b"'],
		[".necromancer-done", '".necromancer-done"'],
		["x".repeat(300), `"${"x".repeat(80)}"`],
	])("names nothing outside of the directory: %j", (name, shown) => {
		for (const journal of [
			{ moves: [inventory], removals: [name], sync: false },
			{ moves: [inventory, { name, size: 1 }], removals: [], sync: false },
		]) {
			const directory = scratch();
			const staging = stage(directory, journal, { "inventory.img": "i" });
			writeFileSync(join(directory, "pstree.img"), "old");
			expect(refusal(() => recover(directory))).toBe(damaged(staging, `names ${shown}`));
			expect(contentsOf(directory)).toEqual({ ".necromancer": "(folder)", "pstree.img": "old" });
		}
	});

	const damaged = (staging: string, finding: string): string =>
		`ERR_IMAGE_UNFINISHED ${join(staging, "journal.json")}: ${finding}, expected what an earlier patch had left to do; dump the donor again, or remove .necromancer if you know the other files to be complete`;

	test.each([
		["", "is no JSON object"],
		["{", "is no JSON object"],
		["[]", "has version undefined"],
		['{"version":2}', "has version 2"],
		['{"version":1}', "has no list of moves"],
		['{"version":1,"moves":[{"name":1,"size":1}]}', "has no list of moves"],
		['{"version":1,"moves":[],"removals":[1]}', "has no list of removals"],
		['{"version":1,"moves":[],"removals":[]}', "does not match its digest"],
	])("has a journal that reads %j", (text, finding) => {
		const directory = scratch();
		const staging = join(directory, ".necromancer");
		mkdirSync(staging);
		writeFileSync(join(staging, "journal.json"), text);
		expect(refusal(() => recover(directory))).toBe(damaged(staging, finding));
	});

	test("names each file once, and the inventory", () => {
		const journals: [Journal, string][] = [
			[{ moves: [inventory, inventory], removals: [], sync: false }, "names a file twice"],
			[{ moves: [inventory], removals: ["inventory.img"], sync: false }, "names a file twice"],
			[{ moves: [], removals: [], sync: false }, "does not name inventory.img"],
		];
		for (const [journal, finding] of journals) {
			const directory = scratch();
			const staging = stage(directory, journal, { "inventory.img": "i" });
			expect(refusal(() => recover(directory))).toBe(damaged(staging, finding));
		}
	});

	test("is never read without end", () => {
		const directory = scratch();
		const staging = join(directory, ".necromancer");
		mkdirSync(staging);
		writeFileSync(join(staging, "journal.json"), Buffer.alloc(10_000_001, " "));
		expect(refusal(() => recover(directory))).toBe(damaged(staging, "is 10000001 bytes"));
	});

	test("whose journal is a link is not followed", () => {
		const directory = scratch();
		const staging = join(directory, ".necromancer");
		mkdirSync(staging);
		symlinkSync("/etc/hostname", join(staging, "journal.json"));
		expect(refusal(() => recover(directory))).toBe(damaged(staging, "is no regular file"));
	});

	test.each([
		["is gone", {}],
		["has another size", { "mm-1.img": "mmm" }],
	])("where a new file %s is not finished", (_, files) => {
		const directory = scratch();
		const moves = [{ name: "mm-1.img", size: 2 }, inventory];
		writeFileSync(join(directory, "inventory.img"), "old");
		stage(directory, { moves, removals: [], sync: false }, { "inventory.img": "i", ...files });
		expect(refusal(() => recover(directory))).toBe(
			`ERR_IMAGE_UNFINISHED ${directory}: mm-1.img of an earlier patch is lost or damaged, expected a file of 2 bytes; dump the donor again`,
		);
		expect(contentsOf(directory)["inventory.img"]).toBe("old");
	});

	test("where a new file is a link is not finished", () => {
		const directory = scratch();
		const staging = stage(
			directory,
			{ moves: [{ name: "mm-1.img", size: 4 }, inventory], removals: [], sync: false },
			{
				"inventory.img": "i",
			},
		);
		symlinkSync("mm-2", join(staging, "new/mm-1.img"));
		expect(refusal(() => recover(directory))).toMatch(/mm-1.img of an earlier patch is lost or damaged/);
	});

	test.each([".necromancer", ".necromancer-done", ".necromancer/new"])("is refused when %s is a link", (name) => {
		const directory = scratch();
		const elsewhere = scratch();
		writeFileSync(join(elsewhere, "precious"), "data");
		if (name.includes("/")) mkdirSync(join(directory, ".necromancer"));
		symlinkSync(elsewhere, join(directory, name));
		expect(refusal(() => recover(directory))).toBe(
			`ERR_IMAGE_UNFINISHED ${directory}: ${join(directory, name)} is no directory, expected what an earlier patch left; remove it`,
		);
		expect(contentsOf(elsewhere)).toEqual({ precious: "data" });
	});

	test("is removed, but never what lies deeper than we put anything", () => {
		const directory = scratch();
		mkdirSync(join(directory, ".necromancer/new/deep"), { recursive: true });
		expect(refusal(() => recover(directory))).toBe(
			`ERR_IO ${join(directory, ".necromancer/new/deep")}: unlink failed with EISDIR (is a directory)`,
		);
		expect(existsSync(join(directory, ".necromancer/new/deep"))).toBe(true);
	});

	test("by a dead builder of the same directory is removed, by others not", async () => {
		const home = scratch();
		const scene = makeScene(home);
		const [own = ""] = lockNames(home);
		const identity = own.slice(".necromancer-lock.".length);
		const dead = identity.replace(/^\d+\.\d+/, "4194305.1");
		const names = [
			`.out.necromancer.${dead}`,
			`.out2.necromancer.${dead}`,
			`.out.necromancer.1.0.0.0.host`,
			`.out.necromancer.`,
		];
		for (const name of names) {
			mkdirSync(join(home, name));
			writeFileSync(join(home, name, "pages-1.img"), "half");
		}
		const { draft, donor, close } = play(scene);
		await writeNewDirectory(draft, donor, join(home, "out"));
		close();
		expect(
			readdirSync(home)
				.filter((name) => name.startsWith("."))
				.sort(),
		).toEqual(names.slice(1).sort());
	});

	/** The name of our own lock. */
	function lockNames(directory: string): string[] {
		const held = lock(directory);
		const names = readdirSync(directory).filter((name) => name.startsWith(".necromancer-lock."));
		held.release();
		return names;
	}
});

test.skipIf(process.geteuid?.() === 0)(
	"a directory that cannot be written is named (needs a user who is not root)",
	() => {
		const directory = scratch();
		chmodSync(directory, 0o500);
		expect(refusal(() => lock(directory))).toBe(`ERR_IO ${directory}: open failed with EACCES (permission denied)`);
		chmodSync(directory, 0o700);
	},
);
