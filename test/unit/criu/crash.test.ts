import { cpSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commitInPlace, recover, whilePatching, writeNewDirectory } from "../../../src/criu/store/commit.ts";
import { donorAt, makeScene, newFiles, play, type Scene, stateOf } from "../../support/builders/scene.ts";
import { dyingAt } from "../../support/faults/crash.ts";
import { contentsOf, quickScratch } from "../../support/scratch.ts";

// Death is simulated here, at every call and twice in a row; test/e2e/kill-sweep.test.ts does it for real.

/** What death does to locks and names of builders: the process they name runs no more. */
function bury(directory: string): void {
	for (const name of readdirSync(directory)) {
		const [own] = new RegExp(`\\b${process.pid}\\.\\d+\\.`).exec(name) ?? [];
		if (own !== undefined) renameSync(join(directory, name), join(directory, name.replace(own, `${process.pid}.1.`)));
	}
}

const inPlace = async (scene: Scene): Promise<void> => {
	const { draft, donor, close } = play(scene);
	try {
		await commitInPlace(draft, donor);
	} finally {
		close();
	}
};

const intoNew = async (scene: Scene, out: string): Promise<void> => {
	const { draft, donor, close } = play(scene);
	try {
		await writeNewDirectory(draft, donor, out);
	} finally {
		close();
	}
};

const FOREVER = Number.MAX_SAFE_INTEGER;

test("in place: old, new, or without inventory, whenever it dies; and whole after the next run", async () => {
	const base = quickScratch();
	let seen = "";
	for (let at = 1; ; at++) {
		const scene = makeScene(fresh(base, `run-${at}`));
		const { died } = await dyingAt(at, () => inPlace(scene));
		bury(scene.donor);
		const contents = contentsOf(scene.donor);
		const state = stateOf(contents);
		expect(state, `at call ${at}: ${Object.keys(contents)}`).not.toBe("mixed with inventory");
		seen += state[0];
		if (!died) break;
		// what is written before the moment that decides, and thrown away at the end, makes little difference
		if (state === "mixed" || at % 5 === 0 || (state === "old" && isDecided(scene.donor))) {
			await dieWhileRecovering(base, scene.donor, at);
		}
	}
	// one way, and through every stage
	expect(seen).toMatch(/^o{20,}m{10,}n{4,}$/);
}, 60_000);

const isDecided = (donor: string): boolean => existsSync(join(donor, ".necromancer/journal.json"));

async function dieWhileRecovering(base: string, donor: string, at: number): Promise<void> {
	const before = stateOf(contentsOf(donor));
	const decided = before !== "old" || isDecided(donor);
	for (let again = 1; ; again++) {
		const copy = join(base, `again-${at}-${again}`);
		cpSync(donor, copy, { recursive: true });
		const { died } = await dyingAt(again, async () => recover(copy));
		bury(copy);
		expect(stateOf(contentsOf(copy)), `at ${at}, then ${again}`).not.toBe("mixed with inventory");
		const outcome = recover(copy);
		const after = contentsOf(copy);
		expect(stateOf(after)).toBe(decided ? "new" : "old");
		if (outcome !== "clean") expect(outcome).toBe(stateOf(after) === "old" ? "undone" : "finished");
		expect(Object.keys(after).filter((name) => name.startsWith(".necromancer"))).toEqual([]);
		expect(recover(copy)).toBe("clean");
		if (!died) break;
	}
}

test("in place, the run after a death patches what it finds", async () => {
	const base = quickScratch();
	for (let at = 1; ; at++) {
		const scene = makeScene(fresh(base, `run-${at}`));
		const { died } = await dyingAt(at, () => inPlace(scene));
		if (!died) break;
		bury(scene.donor);
		await whilePatching(scene.donor, async (lock) => {
			const state = stateOf(contentsOf(scene.donor));
			expect(["old", "new"]).toContain(state);
			const { draft, close } = play(scene);
			// a patched directory is patched again from its own files
			const copies = state === "old" ? draft.copies : new Map([...draft.copies.keys()].map((name) => [name, name]));
			await commitInPlace({ ...draft, copies }, donorAt(scene.donor), { lock });
			close();
		});
		expect(contentsOf(scene.donor)).toEqual(newFiles);
	}
}, 60_000);

describe.each([
	["an absent directory", false],
	["an empty directory", true],
])("into a new directory, beside or in %s", (_, empty) => {
	test("nothing or everything, whenever it dies; and the next run leaves no trace of it", async () => {
		const base = quickScratch();
		let seen = "";
		for (let at = 1; ; at++) {
			const home = fresh(base, `run-${at}`);
			const scene = makeScene(home);
			const out = join(home, "out");
			if (empty) mkdirSync(out);
			const { died } = await dyingAt(at, () => intoNew(scene, out));
			bury(home);
			if (readdirSync(home).includes("out")) bury(out);
			expect(stateOf(contentsOf(scene.donor))).toBe("old");
			const state = readdirSync(home).includes("out") ? stateOf(contentsOf(out)) : "absent";
			expect(state).not.toBe("mixed with inventory");
			seen += state[0];
			if (!died) break;
			await intoNew(scene, out).catch((error: unknown) => {
				expect(`${state} ${error}`).toMatch(
					/^(?:new|mixed) .*: holds 14 files( of an earlier patch, finished just now)?, expected an empty directory, or none; name another$/,
				);
			});
			if (state === "new") recover(out);
			expect(contentsOf(out)).toEqual(newFiles);
			expect(readdirSync(home).sort()).toEqual(["core", "images", "out"]);
		}
		expect(seen).toMatch(empty ? /^m{20,}n{4,}$/ : /^a{20,}n+$/);
	}, 60_000);
});

function fresh(base: string, name: string): string {
	const path = join(base, name);
	mkdirSync(path);
	return path;
}

test("nothing dies in a world without death", async () => {
	const scene = makeScene(quickScratch());
	expect(await dyingAt(FOREVER, () => inPlace(scene))).toMatchObject({ died: false });
	expect(contentsOf(scene.donor)).toEqual(newFiles);
});
