import { mkdirSync, readFileSync, readlinkSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import type { Task } from "../../src/forest/task.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { openCoreSource } from "../../src/raise/open-core.ts";
import { raise } from "../../src/raise/raise.ts";
import type { RaiseOptions } from "../../src/raise/raise-options.ts";
import type { Restored } from "../../src/restore/restore.ts";
import { able, cleanedUp, moments, needs } from "./moments.ts";
import { openStage, type Stage, type Target, UID } from "./stage.ts";

/*
 * Root raises a user's core, alone or with root's donor, and the user puts links to root's own in the place of what the process
 * had: before root begins; when the core has been understood, its files have been found by name, and the agent has yet to look
 * at them as the user; and when they have been opened and judged and the process is about to be made. Those moments are made to come.
 */

vi.mock(
	"../../src/agent/start-agent.ts",
	async (original: () => Promise<typeof import("../../src/agent/start-agent.ts")>) =>
		(await import("./moments.ts")).before("judging", "startAgent", original),
);
vi.mock(
	"../../src/raise/understood.ts",
	async (original: () => Promise<typeof import("../../src/raise/understood.ts")>) =>
		(await import("./moments.ts")).before("understanding", "understood", original),
);
vi.mock(
	"../../src/restore/carrier.ts",
	async (original: () => Promise<typeof import("../../src/restore/carrier.ts")>) =>
		(await import("./moments.ts")).before("opening", "makeCarrier", original),
);

const made = cleanedUp();

/** A user's core, and root's dump of the same process. */
async function openScene(lie?: (task: Task) => Task) {
	const stage = openStage();
	made.stage = stage;
	const donor = await stage.dumped();
	const core = await stage.coreOf(donor, lie);
	stage.give(core);
	return { stage, donor, core };
}

const options: RaiseOptions = {
	...{ stopped: true, ids: "fresh", fds: new Map(), missing: "error", missingFiles: "error", allowMismatch: false },
};

async function raised(core: string, images: string | undefined, more: Partial<RaiseOptions> = {}): Promise<Restored> {
	const opened = await openCoreSource(core, {});
	const dir = images === undefined ? undefined : openImageDir(images);
	try {
		const donor = dir === undefined ? {} : { donor: withRoot(taskFromImages(dir), more.sysroot) };
		const { sysroot: _root, ...how } = more;
		const { restored: alive } = await raise(opened, { ...options, ...donor, ...how });
		made.alive = alive;
		return alive;
	} finally {
		dir?.close();
		opened.close();
	}
}

/** A donor that stood in another root directory. */
const withRoot = (task: Task, root: string | undefined): Task =>
	root === undefined ? task : { ...task, files: { ...task.files, root } };

const ways: readonly (readonly [string, boolean])[] = [
	["traced", false],
	["--no-ptrace", true],
];

describe.skipIf(!able).each(ways)(
	`a user swaps what a process had, raised by root with a donor, %s${needs}`,
	(_, untraced) => {
		const targets: readonly Target[] = ["log", "data", "d", "r", "prog"];
		const how = (target: Target, stage: Stage) => ({
			untraced,
			...(target === "r" ? { sysroot: stage.own("r") } : {}),
		});

		it("and an honest one has it all", async () => {
			const { stage, core, donor } = await openScene();
			const { pid } = await raised(core, donor, { untraced });
			expect(readlinkSync(`/proc/${pid}/fd/3`)).toBe(stage.own("log"));
			expect(readlinkSync(`/proc/${pid}/cwd`)).toBe(stage.own("d"));
			expect(readFileSync(`/proc/${pid}/maps`, "latin1")).toContain(stage.own("data"));
			expect(readFileSync(`/proc/${pid}/status`, "latin1")).toMatch(
				new RegExp(`^Uid:\t${UID}\t${UID}\t${UID}\t${UID}$`, "m"),
			);
		});

		it.each(
			(["before root begins", "before it is opened as the user"] as const).flatMap((when) =>
				targets.map((target) => [target, when] as const),
			),
		)("%s %s", async (target, when) => {
			const { stage, core, donor } = await openScene();
			if (when === "before root begins") stage.swap(target);
			else moments.judging = () => stage.swap(target);
			const attempt = raised(core, donor, how(target, stage));
			// without the right to it, a directory is / instead
			if (target === "d" || target === "r") expect(stage.loot((await attempt).pid)).toEqual([]);
			else await stage.expectRefusal(attempt, /may not be (?:opened|used) by uid 1000/);
		});

		describe.each(["understanding", "opening"] as const)("%s, when it is open:", (moment) => {
			it.each(targets)("%s: it has what was opened", async (target) => {
				const { stage, core, donor } = await openScene();
				moments[moment] = () => stage.swap(target);
				await stage.expectOwn(raised(core, donor, how(target, stage)), target);
			});

			it.each(targets)("%s for another of his own: it has what was opened", async (target) => {
				const { stage, core, donor } = await openScene();
				moments[moment] = () => stage.replace(target);
				await stage.expectOwn(raised(core, donor, how(target, stage)), target);
			});
		});
	},
);

describe.skipIf(!able)(`a core alone, which names files, and a directory in its environment (PWD)${needs}`, () => {
	const targets: readonly Target[] = ["data", "prog", "d"];

	it("and an honest one has them", async () => {
		const { stage, core } = await openScene();
		const { pid } = await raised(core, undefined);
		expect(readlinkSync(`/proc/${pid}/cwd`)).toBe(stage.own("d"));
		expect(readlinkSync(`/proc/${pid}/exe`)).toBe(stage.own("prog"));
		expect(readFileSync(`/proc/${pid}/maps`, "latin1")).toContain(stage.own("data"));
	});

	it.each(
		(["before root begins", "before it is opened as the user"] as const).flatMap((when) =>
			targets.map((target) => [target, when] as const),
		),
	)("%s swapped %s", async (target, when) => {
		const { stage, core } = await openScene();
		if (when === "before root begins") stage.swap(target);
		else moments.judging = () => stage.swap(target);
		const attempt = raised(core, undefined);
		if (target === "d") expect(stage.loot((await attempt).pid)).toEqual([]);
		else await stage.expectRefusal(attempt, /may not be used by uid 1000 \(EACCES\)/);
	});

	describe.each(["understanding", "opening"] as const)("when it is open, %s:", (moment) => {
		it.each(targets)("%s swapped: it has what was opened", async (target) => {
			const { stage, core } = await openScene();
			moments[moment] = () => stage.swap(target);
			await stage.expectOwn(raised(core, undefined), target);
		});
	});

	describe.each(["judging", "understanding", "opening"] as const)(
		"is swapped itself for a link to root's file, before %s",
		(moment) => {
			it.each([true, false])("which is noticed (lazy: %s)", async (lazy) => {
				const { stage, core } = await openScene();
				moments[moment] = () => {
					renameSync(core, `${core}.away`);
					symlinkSync(join(stage.directory, "root/data"), core);
				};
				await stage.expectRefusal(raised(core, undefined, { lazy }), /was changed while it was read/);
			});

			it.each([true, false])("with the directory around it, and what was opened is read (lazy: %s)", async (lazy) => {
				const { stage, core } = await openScene();
				const home = join(stage.directory, "home");
				mkdirSync(home);
				const moved = join(home, "core");
				renameSync(core, moved);
				moments[moment] = () => {
					renameSync(home, `${home}.away`);
					mkdirSync(home);
					symlinkSync(join(stage.directory, "root/data"), moved);
				};
				const { pid } = await raised(moved, undefined, { lazy });
				expect(stage.loot(pid)).toEqual([]);
				// from its stack
				expect(readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0]).toBe(stage.own("prog"));
			});
		},
	);
});
