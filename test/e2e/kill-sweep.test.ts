import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recover, writeNewDirectory } from "../../src/criu/store/commit.ts";
import { makeScene, newFiles, play, type Scene, stateOf } from "../support/builders/scene.ts";
import { built } from "../support/lives/built.ts";
import { contentsOf, quickScratch } from "../support/scratch.ts";

// Real processes, really killed, at every call that changes files. Each is judged by what lies in the directories after.

const support = resolve(import.meta.dirname, "../support");
const home = mkdtempSync(join(tmpdir(), "necromancer-sweep-"));
let dist = "";

beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Runs a verb on a scene; with `at`, killed there. Yields the signal, if it died, or the number of calls. */
async function run(scene: Scene, at: number, ...verb: readonly string[]): Promise<"SIGKILL" | number> {
	const file = `${scene.donor}.json`;
	writeFileSync(file, JSON.stringify(scene));
	const args = [
		"--import",
		join(support, "faults/kill-at.mjs"),
		join(support, "lives/patch-child.mjs"),
		dist,
		file,
		...verb,
	];
	const env = { ...process.env, KILL_AT: String(at), NODE_V8_COVERAGE: "" };
	const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
	const said: Buffer[] = [];
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => said.push(bytes));
	const [code, signal] = (await once(child, "close")) as [number | null, string | null];
	const text = Buffer.concat(said).toString();
	if (signal === "SIGKILL") return signal;
	expect(code, text).toBe(0);
	return Number(text);
}

/** All of it, four at a time: a child is slow to start. */
async function each(count: number, visit: (at: number) => Promise<void>): Promise<void> {
	let next = 1;
	const worker = async (): Promise<void> => {
		for (let at = next++; at <= count; at = next++) await visit(at);
	};
	await Promise.all([worker(), worker(), worker(), worker()]);
}

function sceneIn(parent: string, name: string): Scene {
	const directory = join(parent, name);
	mkdirSync(directory);
	return makeScene(directory);
}

const decided = (scene: Scene): boolean => existsSync(join(scene.donor, ".necromancer/journal.json"));

describe("a patch in place that is killed", () => {
	test("leaves the old directory, the new one, or one without inventory; the next run makes it whole", async () => {
		const base = quickScratch();
		const whole = sceneIn(base, "whole");
		const calls = Number(await run(whole, 0, "commit"));
		expect(contentsOf(whole.donor)).toEqual(newFiles);
		expect(calls).toBeGreaterThan(30);
		const seen: string[] = [];
		await each(calls, async (at) => {
			const scene = sceneIn(base, `at-${at}`);
			expect(await run(scene, at, "commit")).toBe("SIGKILL");
			const state = stateOf(contentsOf(scene.donor));
			seen[at] = state;
			expect(state, `at call ${at}`).not.toBe("mixed with inventory");
			const outcome = state === "new" || decided(scene) || state === "mixed" ? "new" : "old";
			recover(scene.donor);
			expect(stateOf(contentsOf(scene.donor)), `at call ${at}`).toBe(outcome);
			expect(readdirSync(scene.donor).filter((name) => name.startsWith("."))).toEqual([]);
		});
		expect(
			seen
				.slice(1)
				.map((state) => state[0])
				.join(""),
		).toMatch(/^o{20,}m{10,}n{4,}$/);
	});

	test("may be killed again while the next run makes it whole", async () => {
		const base = quickScratch();
		const calls = Number(await run(sceneIn(base, "whole"), 0, "commit"));
		const undecided = sceneIn(base, "undecided");
		await run(undecided, Math.floor(calls / 4), "commit");
		expect(stateOf(contentsOf(undecided.donor))).toBe("old");
		let mixed: Scene | undefined;
		for (let at = calls - 10; stateOf(contentsOf(mixed?.donor ?? undecided.donor)) !== "mixed"; at -= 5) {
			mixed = sceneIn(base, `mixed-${at}`);
			await run(mixed, at, "commit");
		}
		const chosen = [undecided, mixed ?? undecided];
		for (const moment of chosen) {
			const fate = stateOf(contentsOf(moment.donor)) === "old" ? "old" : "new";
			const rehearsal = copyOf(base, moment, "rehearsal");
			const steps = Number(await run(rehearsal, 0, "recover"));
			rmSync(join(base, "rehearsal"), { recursive: true });
			await each(steps, async (again) => {
				const scene = copyOf(base, moment, `again-${again}`);
				expect(await run(scene, again, "recover")).toBe("SIGKILL");
				expect(stateOf(contentsOf(scene.donor))).not.toBe("mixed with inventory");
				recover(scene.donor);
				expect(stateOf(contentsOf(scene.donor)), `killed again at call ${again}`).toBe(fate);
				expect(readdirSync(scene.donor).filter((name) => name.startsWith("."))).toEqual([]);
				rmSync(join(base, `again-${again}`), { recursive: true });
			});
		}
	});
});

test("a patch into a new directory that is killed leaves none, or a complete one; the next run cleans up", async () => {
	const base = quickScratch();
	const whole = sceneIn(base, "whole");
	const calls = Number(await run(whole, 0, "elsewhere", join(base, "whole/out")));
	expect(contentsOf(join(base, "whole/out"))).toEqual(newFiles);
	await each(calls, async (at) => {
		if (at % 2 === 0 && at < calls - 4) return;
		const scene = sceneIn(base, `at-${at}`);
		const out = join(base, `at-${at}`, "out");
		expect(await run(scene, at, "elsewhere", out)).toBe("SIGKILL");
		expect(stateOf(contentsOf(scene.donor))).toBe("old");
		if (!existsSync(out)) {
			const { draft, donor, close } = play(scene);
			await writeNewDirectory(draft, donor, out);
			close();
		}
		expect(contentsOf(out)).toEqual(newFiles);
		expect(readdirSync(join(base, `at-${at}`)).sort()).toEqual(["core", "images", "images.json", "out"]);
	});
});

function copyOf(base: string, { donor, ...rest }: Scene, name: string): Scene {
	const directory = join(base, name);
	mkdirSync(directory);
	cpSync(donor, join(directory, "images"), { recursive: true });
	return { ...rest, donor: join(directory, "images") };
}
