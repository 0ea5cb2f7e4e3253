import { execFileSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { commitInPlace, writeNewDirectory } from "../../src/criu/store/commit.ts";
import { NecromancerError } from "../../src/errors.ts";
import { makeScene, newFiles, oldFiles, play, type Scene } from "../support/builders/scene.ts";
import { as, atCall } from "../support/faults/at-call.ts";
import { refusal, refusalOf } from "../support/refusal.ts";
import { contentsOf, modeOf, quickScratch } from "../support/scratch.ts";

// Another user of the machine owns the directory that root patches, or the one around what root writes. He does what he
// can at each moment of it: before every single call that looks at a name or changes a file.

const THEM = 1000;
/** An ordinary user, who writes into a directory of theirs. */
const ORDINARY = 1001;
const isRoot = process.geteuid?.() === 0;

interface Stage {
	readonly scene: Scene;
	/** The attacker's own directory, with all of the scene in it. */
	readonly home: string;
	/** Ours; nobody else may write there. */
	readonly victim: string;
	/** Who we are. */
	readonly us: number;
	readonly out: string;
}

function stageIn(base: string, name: string, us = 0): Stage {
	const root = join(base, name);
	mkdirSync(root, { mode: 0o755 });
	const [home, victim] = [join(root, "home"), join(root, "victim")];
	mkdirSync(home);
	mkdirSync(victim, { mode: 0o755 });
	writeFileSync(join(victim, "precious"), "data", { mode: 0o644 });
	const scene = makeScene(home);
	give(home);
	if (us !== 0) {
		for (const path of [scene.donor, scene.core, victim]) give(path, us);
		chmodSync(home, 0o777);
	}
	return { scene, home, victim, us, out: join(home, "out") };
}

function give(path: string, uid = THEM): void {
	chownSync(path, uid, uid);
	if (!lstatSync(path).isDirectory()) return;
	for (const name of readdirSync(path)) give(join(path, name), uid);
}

const become = (uid: number): void => {
	process.seteuid?.(0);
	process.setegid?.(uid);
	process.seteuid?.(uid);
};

/** What nobody but we may have done. */
function expectUntouched({ victim, us }: Stage, when: string): void {
	expect(contentsOf(victim), when).toEqual({ precious: "data" });
	expect([modeOf(victim), modeOf(join(victim, "precious"))], when).toEqual(["0755", "0644"]);
	expect(lstatSync(victim).uid, when).toBe(us);
}

/** The images at a path are complete and our own, or nobody said so. */
function expectOwn(path: string, when: string, us = 0): void {
	const images = Object.fromEntries(
		Object.entries(contentsOf(path)).filter(([entry]) => entry !== "notes" && !/lock|moved$/.test(entry)),
	);
	expect(images, when).toEqual(newFiles);
	for (const name of Object.keys(images)) {
		const { uid, nlink, mode } = lstatSync(join(path, name));
		expect([name, uid, nlink, mode & 0o7777], when).toEqual([name, us, 1, 0o600]);
	}
	expect([lstatSync(path).uid, modeOf(path)], when).toEqual([us, "0700"]);
}

/** Strikes before each call in turn. Yields what the work said each time. */
async function sweep(
	name: string,
	attack: (stage: Stage) => void,
	work: Work,
	result: (stage: Stage) => string,
	us = 0,
): Promise<Set<string>> {
	const base = quickScratch();
	chmodSync(base, 0o755);
	const said = new Set<string>();
	const whole = stageIn(base, `${name}-whole`, us);
	const { calls } = await atCall(
		0,
		() => {},
		() => actingAs(us, () => now(work, whole)),
	);
	for (let at = 1; at <= calls; at++) {
		const stage = stageIn(base, `${name}-${at}`, us);
		const when = `${name} at call ${at}`;
		const played = play(stage.scene);
		let outcome = "done";
		const run = async (): Promise<void> => {
			try {
				await work(stage, played);
			} catch (error) {
				if (!(error instanceof NecromancerError)) throw error;
				outcome = error.code;
			}
		};
		const strike = (): void => {
			become(0);
			try {
				as(THEM, () => attack(stage));
			} finally {
				become(us);
			}
		};
		await atCall(at, strike, () => actingAs(us, run));
		expectUntouched(stage, when);
		if (outcome === "done") expectOwn(placeOf(result(stage)), when, us);
		said.add(outcome);
	}
	return said;
}

async function actingAs(us: number, work: () => Promise<unknown>): Promise<void> {
	become(us);
	try {
		await work();
	} finally {
		become(0);
	}
}

/** Whoever owns the directory around it can move it once all is done and said. */
const placeOf = (path: string): string =>
	lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? path : `${path}-moved`;

const swapped = (path: string, target: string): void => {
	renameSync(path, `${path}-moved`);
	symlinkSync(target, path);
};

const draftOf = ({ home }: Stage): string => {
	const name = readdirSync(home).find((entry) => entry.startsWith(".out.necromancer."));
	return join(home, name ?? "nothing");
};

type Work = (stage: Stage, played: ReturnType<typeof play>) => Promise<unknown>;

const inPlace: Work = async (_, { draft, donor, close }) => await commitInPlace(draft, donor).finally(close);

const elsewhere: Work = async ({ out }, { draft, donor, close }) =>
	await writeNewDirectory(draft, donor, out).finally(close);

const now = (work: Work, stage: Stage): Promise<unknown> => work(stage, play(stage.scene));

describe.skipIf(!isRoot)("root patches another user's directory (needs root)", () => {
	test.each<[string, (stage: Stage) => void]>([
		["the directory becomes a link", ({ scene, victim }) => swapped(scene.donor, victim)],
		["the directory is moved away", ({ scene }) => renameSync(scene.donor, `${scene.donor}-moved`)],
		["the staging directory becomes a link", ({ scene, victim }) => swapped(join(scene.donor, ".necromancer"), victim)],
		[
			"the new files' directory becomes a link",
			({ scene, victim }) => swapped(join(scene.donor, ".necromancer/new"), victim),
		],
		[
			"a link waits as the staging directory",
			({ scene, victim }) => symlinkSync(victim, join(scene.donor, ".necromancer")),
		],
		[
			"an image becomes a link",
			({ scene, victim }) => swapped(join(scene.donor, "fdinfo-3.img"), join(victim, "precious")),
		],
		[
			"an image becomes a directory",
			({ scene }) => {
				renameSync(join(scene.donor, "pstree.img"), join(scene.donor, "moved"));
				mkdirSync(join(scene.donor, "pstree.img"));
			},
		],
		[
			"a kept image becomes a FIFO",
			({ scene }) => {
				renameSync(join(scene.donor, "fs-100.img"), join(scene.donor, "moved"));
				execFileSync("mkfifo", [join(scene.donor, "fs-100.img")], { uid: THEM, gid: THEM });
			},
		],
		[
			"the lock becomes a link",
			({ scene, victim }) => {
				const lock = readdirSync(scene.donor).find((name) => name.startsWith(".necromancer-lock."));
				if (lock !== undefined) swapped(join(scene.donor, lock), join(victim, "precious"));
			},
		],
	])("%s", async (name, attack) => {
		const said = await sweep(name, attack, inPlace, ({ scene }) => scene.donor);
		expect(said).toContain("done");
	});

	test("what was patched is root's own: files of others stay theirs, images are copies", async () => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "own");
		const { donor } = stage.scene;
		writeFileSync(join(donor, "notes"), "theirs");
		chownSync(join(donor, "notes"), THEM, THEM);
		const before = lstatSync(join(donor, "pages-2.img")).ino;
		await now(inPlace, stage);
		expectOwn(donor, "after");
		expect(lstatSync(join(donor, "pages-2.img")).ino).not.toBe(before);
		expect([lstatSync(join(donor, "notes")).uid, modeOf(join(donor, "notes"))]).toEqual([THEM, "0644"]);
	});

	test("what failed is given back as it was", async () => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "back");
		chmodSync(stage.scene.donor, 0o2775);
		truncateSync(stage.scene.core, 4);
		expect(await refusalOf(now(inPlace, stage))).toMatch(/^ERR_CORE_TRUNCATED /);
		expect([lstatSync(stage.scene.donor).uid, modeOf(stage.scene.donor)]).toEqual([THEM, "2775"]);
		expect(contentsOf(stage.scene.donor)).toEqual(oldFiles);
	});

	test("what looks like an unfinished patch there is not finished for anybody", async () => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "left");
		const { donor } = stage.scene;
		// root's own directory, which the user may move
		mkdirSync(join(donor, ".necromancer-done"), { mode: 0o700 });
		writeFileSync(join(donor, ".necromancer-done", "secret"), "root's");
		expect(await refusalOf(now(inPlace, stage))).toBe(
			`ERR_IMAGE_UNFINISHED ${donor}: holds .necromancer-done, which somebody else may have put there, expected no unfinished patch in a directory that others can change; let its owner patch it again, or remove that`,
		);
		expect(readFileSync(join(donor, ".necromancer-done", "secret"), "utf8")).toBe("root's");
		expect(lstatSync(donor).uid).toBe(THEM);
	});
});

describe.skipIf(!isRoot)("root writes a new directory into another user's (needs root)", () => {
	test.each<[string, (stage: Stage) => void]>([
		["the draft becomes a link", (stage) => swapped(draftOf(stage), stage.victim)],
		[
			"the draft becomes another directory",
			(stage) => {
				const draft = draftOf(stage);
				renameSync(draft, `${draft}-moved`);
				mkdirSync(draft);
				writeFileSync(join(draft, "inventory.img"), "theirs");
			},
		],
		["a link waits in its place", ({ out, victim }) => symlinkSync(victim, out)],
		["an empty directory waits in its place", ({ out }) => mkdirSync(out)],
		["the directory around becomes a link", ({ home, victim }) => swapped(home, victim)],
	])("%s", async (name, attack) => {
		const said = await sweep(name, attack, elsewhere, ({ out }) => out);
		expect(said).toContain("done");
	});

	test("by a link of his it does not go at all", async () => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "link");
		as(THEM, () => symlinkSync(stage.victim, join(stage.home, "way")));
		const out = join(stage.home, "way", "out");
		expect(await refusalOf(now(elsewhere, { ...stage, out }))).toBe(
			`ERR_OWNER ${dirname(out)}: way on the way there is a link of user 1000's, expected none that leads where somebody else wants; name the directory itself`,
		);
		as(THEM, () => symlinkSync(stage.victim, stage.out));
		expect(await refusalOf(now(elsewhere, stage))).toMatch(
			/^ERR_OWNER .*out on the way there is a link of user 1000's/,
		);
		expectUntouched(stage, "links");
	});

	test("into an empty directory that others may change neither", async () => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "empty");
		mkdirSync(stage.out);
		chownSync(stage.out, THEM, THEM);
		expect(await refusalOf(now(elsewhere, stage))).toBe(
			`ERR_OWNER ${stage.out}: belongs to user 1000, expected one of our own, or none; name one that is not there`,
		);
		chownSync(stage.out, 0, 0);
		chmodSync(stage.out, 0o1777);
		expect(await refusalOf(now(elsewhere, stage))).toBe(
			`ERR_OWNER ${stage.out}: is a directory that others may write, expected one of our own, or none; name one that is not there`,
		);
		expect(readdirSync(stage.out)).toEqual([]);
	});

	test("a dead builder's directory there may be anything that he has moved", async () => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "abandoned");
		const decoy = join(stage.home, ".out.necromancer.4194305.1.1.0.x");
		mkdirSync(decoy, { mode: 0o700 });
		writeFileSync(join(decoy, "secret"), "root's");
		await now(elsewhere, stage);
		expect(readFileSync(join(decoy, "secret"), "utf8")).toBe("root's");
	});
});

describe.skipIf(!isRoot)("an ordinary user in another's directory (needs root)", () => {
	test.each<[string, Work, (stage: Stage) => void]>([
		["patches: his directory becomes a link", inPlace, ({ scene, victim }) => swapped(scene.donor, victim)],
		["writes: the draft becomes a link", elsewhere, (stage) => swapped(draftOf(stage), stage.victim)],
		["writes: a link waits in its place", elsewhere, ({ out, victim }) => symlinkSync(victim, out)],
		["writes: the directory around becomes a link", elsewhere, ({ home, victim }) => swapped(home, victim)],
	])("%s", async (name, work, attack) => {
		const result = work === inPlace ? ({ scene }: Stage) => scene.donor : ({ out }: Stage) => out;
		expect(await sweep(name, attack, work, result, ORDINARY)).toContain("done");
	});
});

describe.skipIf(!isRoot)("root reads images in another user's directory (needs root)", () => {
	test.each<[string, (path: string, victim: string) => void, RegExp]>([
		["a link", (path, victim) => symlinkSync(join(victim, "secret"), path), /is no regular file/],
		["a FIFO", (path) => void execFileSync("mkfifo", [path]), /is no regular file/],
		["a device", (path) => void execFileSync("mknod", [path, "c", "1", "5"]), /is no regular file/],
		["a directory", (path) => mkdirSync(path), /is no regular file/],
		[
			"another name of root's file",
			(path, victim) => linkSync(join(victim, "secret"), path),
			/^ERR_OWNER .*belongs to user 0, in a directory of user 1000, expected an image that whoever put it there may read/,
		],
		["root's file, moved", (path, victim) => renameSync(join(victim, "secret"), path), /^ERR_OWNER /],
	])("an image that became %s since the directory was opened is not read", async (_, attack, said) => {
		const base = quickScratch();
		chmodSync(base, 0o755);
		const stage = stageIn(base, "read");
		const { donor } = stage.scene;
		writeFileSync(join(stage.victim, "secret"), "root's", { mode: 0o600 });
		writeFileSync(join(donor, "inventory.img"), Buffer.from([0x16, 0x31, 0x31, 0x58, 2, 0, 0, 0, 8, 2]));
		const dir = openImageDir(donor);
		renameSync(join(donor, "pages-2.img"), join(donor, "moved"));
		attack(join(donor, "pages-2.img"), stage.victim);
		expect(refusal(() => dir.source("pages-2.img"))).toMatch(said);
		expect(await refusalOf(now(inPlace, stage))).toMatch(said);
		expect(existsSync(join(donor, "core-200.img"))).toBe(false);
		dir.close();
	});
});

test("nobody but root takes what is another user's", async () => {
	const base = quickScratch();
	const stage = { scene: makeScene(base), home: base, victim: base, us: 0, out: join(base, "out") };
	if (isRoot) {
		chmodSync(base, 0o777);
		chmodSync(stage.scene.donor, 0o777);
		let said = "";
		process.setegid?.(THEM);
		process.seteuid?.(THEM);
		try {
			said = await refusalOf(now(inPlace, stage));
		} finally {
			process.seteuid?.(0);
			process.setegid?.(0);
		}
		expect(said).toBe(
			`ERR_OWNER ${stage.scene.donor}: belongs to user 0, expected a directory of our own, or the right to make it that; write the result elsewhere with -o, or copy the directory`,
		);
		expect(contentsOf(stage.scene.donor)).toEqual(oldFiles);
		return;
	}
	await now(inPlace, stage);
	expect(contentsOf(stage.scene.donor)).toEqual(newFiles);
});
