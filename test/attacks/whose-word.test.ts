import { spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	cpSync,
	existsSync,
	lstatSync,
	readdirSync,
	readFileSync,
	readlinkSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileOffset } from "../../src/bytes/address.ts";
import { extent, place } from "../../src/bytes/extent.ts";
import { type FileWriters, fromBuffer } from "../../src/bytes/source.ts";
import { believedImages } from "../../src/cli/believed-images.ts";
import { patchVerb } from "../../src/cli/patch/run.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { dump } from "../../src/dump/dump.ts";
import type { Credentials, GhostFile, SharedObject } from "../../src/forest/task.ts";
import { rootOf } from "../../src/forest/whole.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { writersTold } from "../../src/images/read/side-record.ts";
import { openCoreSource } from "../../src/raise/open-core.ts";
import { raise } from "../../src/raise/raise.ts";
import type { RaiseOptions } from "../../src/raise/raise-options.ts";
import { type Restored, restore } from "../../src/restore/restore.ts";
import type { KeptBy } from "../../src/rights/authors.ts";
import { requireDonorOf } from "../../src/rights/donor-rights.ts";
import { type PatchRightsQuestion, patchRights } from "../../src/rights/patch-rights.ts";
import type { OurRights } from "../../src/rights/privilege.ts";
import { taskOfThreads, threadOf } from "../support/builders/thread-task.ts";
import { soon } from "../support/lives/living.ts";
import { refusal, refusalOf } from "../support/refusal.ts";
import { contentsOf } from "../support/scratch.ts";
import { compile } from "./compile.ts";
import { able, cleanedUp, needs } from "./moments.ts";
import { openStage, UID } from "./stage.ts";

/*
 * Root patches a donor with what a user wrote, and restores the result, which is root's own by then. At 454f303 nothing told it
 * from images that root had dumped: a core of the user's that said so came back as root.
 */

const root: OurRights = { uid: 0, gid: 0, capabilities: (1n << 41n) - 1n, mayBecome: () => true };
const ordinary: OurRights = { uid: 1001, gid: 1001, capabilities: 0n, mayBecome: (uid) => uid === 1001 };
const mine: FileWriters = { uid: UID, anybody: false };
const roots: FileWriters = { uid: 0, anybody: false };
const TRUST = "give --trust if you know where they come from: the images are then your own word";

const his = {
	...{ uid: UID, euid: UID, suid: UID, fsuid: UID, gid: UID, egid: UID, sgid: UID, fsgid: UID },
	...{ groups: [], inheritable: 0n, permitted: 0n, effective: 0n, ambient: 0n },
};

const judged = (
	credentials: Partial<Credentials>,
	more: Partial<PatchRightsQuestion> = {},
	ghosts: readonly GhostFile[] = [],
) => {
	const thread = threadOf(100);
	const task = taskOfThreads([{ ...thread, credentials: { ...thread.credentials, ...his, ...credentials } }]);
	return patchRights(task, {
		lends: { memory: { ghosts } },
		...{ name: "core", writers: [mine, roots], donor: [], us: root, trust: false, alone: () => false },
		...{ groupsOf: (uid: number) => (uid === UID ? [UID] : []), ...more },
	});
};

describe("a core and a donor that become images of root's", () => {
	const rest = `expected no more than uid ${UID} has, whose core or its donor is; ${TRUST}`;
	it.each<[string, Partial<Credentials>, string]>([
		["root's id", { uid: 0 }, "uid 0"],
		["a saved id of root's", { suid: 0 }, "uid 0"],
		["another user's id", { uid: 33 }, "uid 33"],
		["a group that he is not in", { groups: [42] }, "gid 42"],
		["a capability", { permitted: 1n << 21n }, "CAP_SYS_ADMIN"],
		["one to be inherited", { inheritable: 1n << 7n }, "CAP_SETUID"],
	])("give nobody %s, where a user can have written one of them", (_, credentials, text) => {
		expect(refusal(() => judged(credentials))).toBe(`ERR_UNTRUSTED thread 100: would have ${text}, ${rest}`);
		expect(judged(credentials, { trust: true })).toEqual([]);
	});

	it("give no uid 0 and no capability where they are root's own, and no group that a core alone speaks of", () => {
		const own = { writers: [roots] };
		const rest = `expected no more than a core is believed about; ${TRUST}`;
		expect(refusal(() => judged({ euid: 0 }, own))).toBe(`ERR_UNTRUSTED thread 100: would have uid 0, ${rest}`);
		expect(refusal(() => judged({ effective: (1n << 41n) - 1n }, own))).toBe(
			`ERR_UNTRUSTED thread 100: would have 41 capabilities, ${rest}`,
		);
		expect(refusal(() => judged({ gid: 42 }, own))).toBe(`ERR_UNTRUSTED thread 100: would have gid 42, ${rest}`);
		const donor = [{ ...threadOf(100).credentials, ...his, gid: 42, groups: [7] }];
		expect(judged({ gid: 42, groups: [7] }, { ...own, donor })).toEqual([]);
		expect(judged({}, own)).toEqual([]);
	});

	it("give what root's donor had, and no more, to root's core", () => {
		const all = (1n << 41n) - 1n;
		const had = {
			...threadOf(100).credentials,
			...his,
			uid: 0,
			euid: 0,
			suid: 0,
			fsuid: 0,
			permitted: all,
			effective: all,
		};
		const roots = { writers: [{ uid: 0, anybody: false }], donor: [had] };
		expect(judged({ uid: 0, euid: 0, suid: 0, fsuid: 0, permitted: all, effective: all }, roots)).toEqual([]);
		expect(refusal(() => judged({ inheritable: 1n << 21n }, roots))).toMatch(/ would have CAP_SYS_ADMIN, /);
		// not where a user can have written one of them
		expect(refusal(() => judged({ uid: 0 }, { donor: [had] }))).toMatch(/ would have uid 0, /);
	});

	const ghost = { id: 1, path: "/var/log/x", mode: 0o100600, uid: 0, gid: 0, size: 1n, contents: [] };
	const text = `ERR_UNTRUSTED /var/log/x, deleted: belongs to uid 0, and would be uid ${UID}'s with what is in it, expected files that its user may read; `;

	it("give nobody what is in a file without a name that is another's", () => {
		const ghostly = (mode: number, uid: number, more: Partial<PatchRightsQuestion> = {}) =>
			judged({}, more, [{ ...ghost, mode, uid }]);
		expect(refusal(() => ghostly(0o100600, 0))).toBe(text + TRUST);
		expect(ghostly(0o100644, 0)).toEqual([mine]);
		expect(ghostly(0o100600, UID)).toEqual([mine]);
		expect(ghostly(0o100600, 0, { writers: [roots] })).toEqual([]);
		const lend = (writers: readonly FileWriters[]): void => {
			const us = { uid: 0 };
			const lends = { memory: { ghosts: [ghost] } };
			requireDonorOf({ uid: UID }, { name: "images", writers, us, runs: true, alone: () => false, lends });
		};
		expect(refusal(() => lend([roots]))).toBe(`${text}give --trust if you know where the core comes from`);
		lend([mine]);
	});

	it("give nobody what is in another's memfd, or waits in the pipe of another's process", () => {
		const content = extent(fromBuffer("pages", Buffer.alloc(4096)), 0n, 4096n);
		const held: SharedObject["contents"] = [place(fileOffset(0), content)];
		const memfd = (uid: number, contents = held) => ({
			id: 1,
			name: "keys",
			mode: 0o100777,
			uid,
			gid: 0,
			size: 4096n,
			contents,
		});
		const pipe: KeptBy["files"] = {
			descriptors: [
				{
					...{ number: 5, closeOnExec: false },
					description: { kind: "pipe", id: 1, flags: 0, pipe: { id: 77, content: content } },
				},
			],
		};
		const said = (lends: KeptBy) => refusal(() => judged({}, { lends }));
		const lent = (lends: KeptBy, writers = [roots]) => {
			const rest = { us: { uid: 0 }, runs: true, alone: () => false };
			requireDonorOf({ uid: UID }, { name: "images", writers, ...rest, lends });
		};
		const rest = `belongs to uid 0, and would be uid ${UID}'s with what is in it, expected files that its user may read; `;
		const keys = { memory: { objects: [memfd(0)] } };
		const waiting = { memory: {}, files: pipe, threads: [{ credentials: { uid: 0 } }] };
		expect(said(keys)).toBe(`ERR_UNTRUSTED memfd keys: ${rest}${TRUST}`);
		expect(said(waiting)).toBe(`ERR_UNTRUSTED pipe 77: ${rest}${TRUST}`);
		for (const lends of [keys, waiting]) {
			expect(refusal(() => lent(lends))).toMatch(/^ERR_UNTRUSTED (?:memfd keys|pipe 77): belongs to uid 0/);
			// what he wrote himself he knows
			lent(lends, [mine]);
		}
		lent({ memory: { objects: [memfd(UID), memfd(0, [])] } });
		lent({ ...waiting, threads: [{ credentials: { uid: UID } }] });
	});

	it.each<[string, readonly FileWriters[], string]>([
		["two users", [mine, { uid: 33, anybody: false }], "uid 1000, uid 33"],
		["anybody", [{ uid: 0, anybody: true }], "everybody with the permission of its group or of all"],
	])("are refused where %s can have written them", (_, writers, text) => {
		expect(refusal(() => judged({}, { writers }))).toBe(
			`ERR_UNTRUSTED core: and its donor can have been written by ${text}, expected one user, and nobody besides; ${TRUST}`,
		);
	});

	it("are written by an ordinary user as they are, with their writers' names in them", () => {
		expect(judged({ uid: 0 }, { us: ordinary })).toEqual([mine]);
		expect(judged({}, { us: ordinary, writers: [{ uid: 0, group: 5, anybody: false }] })).toEqual([
			{ uid: 0, group: 5, anybody: false },
		]);
	});
});

describe("a donor", () => {
	const lend = (uid: number, writers: readonly FileWriters[], more: { us?: number; runs?: boolean } = {}) => {
		const { us = 0, runs = true } = more;
		requireDonorOf(
			{ uid },
			{ name: "images", writers, us: { uid: us }, runs, alone: () => false, lends: { memory: {} } },
		);
	};
	it("of another user's decides nothing in a process", () => {
		expect(refusal(() => lend(33, [mine]))).toBe(
			`ERR_UNTRUSTED images: can have been written by uid ${UID}, and lends to a process of uid 33, expected the images of that user, or of root; give --trust if you know where they come from`,
		);
		expect(refusal(() => lend(33, [mine], { runs: false }))).toMatch(/^ERR_UNTRUSTED /);
		expect(refusal(() => lend(1001, [mine], { us: 1001 }))).toMatch(/; leave it stopped, or give --trust/);
		expect(refusal(() => lend(UID, [mine, { uid: 0, anybody: true }]))).toMatch(/^ERR_UNTRUSTED /);
		lend(1001, [mine], { us: 1001, runs: false });
		lend(UID, [mine, roots]);
		lend(33, [roots]);
	});
});

const made = cleanedUp();

/** A core and a donor of a user's process, both root's. */
async function openScene() {
	const stage = openStage();
	made.stage = stage;
	const donor = await stage.dumped();
	return { stage, donor, core: await stage.coreOf(donor) };
}

const patched = (core: string, images: string, more: Partial<Parameters<typeof patchVerb>[0]> = {}) =>
	patchVerb({ cores: [core], images, quiet: true, ...more });

/** Whom root believes these images to be of, and what of them. */
function believed(images: string) {
	const dir = openImageDir(images);
	try {
		const task = rootOf(believedImages(dir, undefined, { trust: false, runs: true }).forest);
		return { task, told: writersTold(dir), identities: task.files.identities?.size ?? 0 };
	} finally {
		dir.close();
	}
}

describe.skipIf(!able)(`root patches what a user wrote${needs}`, () => {
	it.each<[string, (scene: { core: string; donor: string }) => string]>([
		["his core", ({ core }) => core],
		["his donor", ({ donor }) => donor],
		[
			"an image of his in a donor of root's",
			({ donor }) => join(donor, readdirSync(donor).find((name) => name.startsWith("fs-")) ?? ""),
		],
	])("%s: the result is his word", async (_, what) => {
		const { stage, core, donor } = await openScene();
		stage.give(what({ core, donor }));
		const out = join(stage.directory, "out");
		await patched(core, donor, { output: out });
		await patched(core, donor);
		const copy = join(stage.directory, "copy");
		cpSync(out, copy, { recursive: true });
		for (const images of [out, donor, copy]) {
			expect(lstatSync(images).uid).toBe(0);
			expect(believed(images)).toMatchObject({ told: [mine], identities: 0 });
		}
		// once more, by root's own core
		chownSync(core, 0, 0);
		await patched(core, out, { output: join(stage.directory, "again") });
		expect(believed(join(stage.directory, "again")).told).toEqual([mine]);
		await patched(core, donor, { output: join(stage.directory, "trusted"), trust: true });
		expect(believed(join(stage.directory, "trusted")).told).toEqual([]);
	});

	it("nothing of his: the result is root's word", async () => {
		const { stage, core, donor } = await openScene();
		await patched(core, donor, { output: join(stage.directory, "out") });
		expect(believed(join(stage.directory, "out"))).toMatchObject({ told: [], task: { identity: { comm: "prog" } } });
		expect(believed(join(stage.directory, "out")).identities).toBeGreaterThan(3);
	});

	it("a core that says it was root's: nothing is written, and it is refused when it only looks", async () => {
		const { donor, stage } = await openScene();
		// the user's own program, which says what he likes: here, that it was root
		const lie = await stage.coreOf(donor, (task) => ({
			...task,
			threads: task.threads.map((it) => ({ ...it, credentials: { ...it.credentials, uid: 0, gid: 0 } })),
		}));
		for (const owner of [UID, 0]) {
			chownSync(lie, owner, owner);
			const before = contentsOf(donor);
			for (const how of [{}, { check: true }, { output: join(stage.directory, "out") }])
				expect(await refusalOf(patched(lie, donor, how))).toMatch(/^ERR_UNTRUSTED thread \d+: would have uid 0, /);
			expect(contentsOf(donor)).toEqual(before);
			expect(existsSync(join(stage.directory, "out"))).toBe(false);
		}
	});

	it("a core that everybody may write", async () => {
		const { core, donor } = await openScene();
		chmodSync(core, 0o666);
		expect(await refusalOf(patched(core, donor))).toMatch(/^ERR_UNTRUSTED .*everybody with the permission/);
		const opened = await openCoreSource(core, {});
		try {
			expect(await refusalOf(raise(opened, options))).toMatch(/^ERR_UNTRUSTED .*everybody with the permission/);
		} finally {
			opened.close();
		}
	});

	it("and gets nobody's files by it: those that the donor had, and the user may not open any more", async () => {
		const { stage, core, donor } = await openScene();
		// the log is root's by now
		chownSync(stage.own("log"), 0, 0);
		const out = (name: string): string => join(stage.directory, name);
		await patched(core, donor, { output: out("honest") });
		stage.give(core);
		await patched(core, donor, { output: out("his") });
		await expect(restored(out("his"))).rejects.toThrow(/may not be used by uid 1000 \(EACCES\)/);
		const { pid } = await restored(out("honest"));
		expect(readlinkSync(`/proc/${pid}/fd/3`)).toBe(stage.own("log"));
	});
});

const options: RaiseOptions = {
	...{ stopped: true, ids: "fresh", fds: new Map(), missing: "error", missingFiles: "error", allowMismatch: false },
};

async function restored(images: string): Promise<Restored> {
	const dir = openImageDir(images);
	try {
		const { forest } = believedImages(dir, undefined, { trust: false, runs: true });
		const alive = await restore(forest, { stopped: true, ids: "fresh", fds: new Map(), missing: "error" });
		made.alive = alive;
		return alive;
	} finally {
		dir.close();
	}
}

describe.skipIf(!able)(`raise -i DONOR${needs}`, () => {
	async function raised(core: string, images: string, more: Partial<RaiseOptions> = {}): Promise<Restored> {
		const [opened, dir] = [await openCoreSource(core, {}), openImageDir(images)];
		try {
			const donor = taskFromImages(dir);
			const donorImages = { name: "donor", writers: [...dir.writers, ...writersTold(dir)] };
			const { restored: alive } = await raise(opened, { ...options, donor, donorImages, ...more });
			made.alive = alive;
			return alive;
		} finally {
			dir.close();
			opened.close();
		}
	}

	it("proves with a donor's word about files nothing", async () => {
		const { stage, core, donor } = await openScene();
		chownSync(stage.own("log"), 0, 0);
		stage.give(donor);
		expect(await refusalOf(raised(core, donor))).toMatch(/^ERR_FILE_MISMATCH .*log: may not be opened by uid 1000/);
	});

	it("gives nobody what is in a memfd or a pipe of another's, though root dumped it", async () => {
		const stage = openStage();
		made.stage = stage;
		const { directory } = stage;
		const dumped = async (user: number, text: string): Promise<string> => {
			const program = join(directory, "holding");
			copyFileSync(compile("holding"), program);
			const { pid = 0 } = spawn(program, [text], {
				uid: user,
				gid: user,
				cwd: "/",
				env: {},
				detached: true,
				stdio: "ignore",
			});
			expect(await soon(() => readlinkSync(`/proc/${pid}/cwd`) === "/tmp")).toBe(true);
			const images = join(directory, `holding-${user}`);
			await dump(pid, { images, afterwards: "end", pages: true, missing: "error" });
			return images;
		};
		const core = await stage.coreOf(await dumped(UID, "the user's"));
		stage.give(core);
		const donor = await dumped(0, "root's own");
		expect(await refusalOf(raised(core, donor))).toMatch(
			/^ERR_UNTRUSTED 2 files: memfd keys belongs to uid 0, and would be uid 1000's with what is in it .*, pipe \d+ belongs to uid 0, /,
		);
		const { pid } = await raised(core, donor, { trust: true });
		expect(readFileSync(`/proc/${pid}/fd/3`, "utf8")).toBe("root's own");
	});

	it("takes nobody else's", async () => {
		const { stage, core, donor } = await openScene();
		stage.give(donor, 33);
		expect(await refusalOf(raised(core, donor))).toMatch(
			/^ERR_UNTRUSTED donor: can have been written by uid 33, and lends to a process of uid 1000, /,
		);
		stage.give(donor);
		const { pid } = await raised(core, donor);
		expect(readlinkSync(`/proc/${pid}/fd/3`)).toBe(stage.own("log"));
	});
});
