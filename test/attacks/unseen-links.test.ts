import { execFileSync } from "node:child_process";
import { lchownSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, it, vi } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { forestFromImages } from "../../src/images/read/from-images.ts";
import { type Restored, restore } from "../../src/restore/restore.ts";
import { able, cleanedUp, needs } from "./moments.ts";
import { openStage, type Stage, UID } from "./stage.ts";

/*
 * A process of root's own, of which a file lies in another user's directory. He puts links to root's secret there that end nowhere
 * when it is looked at whose they are, and lead there when they are followed.
 */

const looked = { afterwards: (): void => {} };
vi.mock(
	"../../src/rights/resolve-in-root.ts",
	async (original: () => Promise<typeof import("../../src/rights/resolve-in-root.ts")>) => {
		const real = await original();
		return {
			...real,
			resolveInRoot: (...args: Parameters<typeof real.resolveInRoot>) => {
				const reached = real.resolveInRoot(...args);
				looked.afterwards();
				return reached;
			},
		};
	},
);

const made = cleanedUp();

function link(target: string, path: string): void {
	rmSync(path, { force: true });
	symlinkSync(target, path);
	lchownSync(path, UID, UID);
}

async function restored(images: string): Promise<Restored> {
	const dir = openImageDir(images);
	try {
		made.alive = await restore(forestFromImages(dir), {
			stopped: true,
			ids: "fresh",
			fds: new Map(),
			missing: "error",
		});
		return made.alive;
	} finally {
		dir.close();
	}
}

async function openScene(): Promise<{ readonly stage: Stage; readonly images: string; readonly secret: string }> {
	const stage = openStage(0);
	made.stage = stage;
	const images = await stage.dumped();
	renameSync(stage.own("log"), `${stage.own("log")}.away`);
	return { stage, images, secret: join(stage.directory, "root/log") };
}

const unseen = /\/log: is reached by links that cannot be looked at, expected to use it/;

describe.skipIf(!able)(`links whose owners cannot be told${needs}`, () => {
	it("a link that leads nowhere while it is looked at", async () => {
		const { stage, images, secret } = await openScene();
		link("nowhere", stage.own("log"));
		looked.afterwards = () => link(secret, stage.own("log"));
		try {
			await stage.expectRefusal(restored(images), unseen);
		} finally {
			looked.afterwards = () => {};
		}
	});

	it("a link through directories whose names are longer together than a path may be", async () => {
		const { stage, images, secret } = await openScene();
		const half = Array.from({ length: 8 }, () => "n".repeat(255)).join("/");
		const [home, mine] = [process.cwd(), join(stage.directory, "u")];
		try {
			for (const place of [mine, half]) {
				process.chdir(place);
				mkdirSync(half, { recursive: true });
			}
			link(`${half}/middle`, stage.own("log"));
			link(`${half}/end`, "middle");
			process.chdir(half);
			link(secret, "end");
			process.chdir(home);
			await stage.expectRefusal(restored(images), unseen);
		} finally {
			process.chdir(home);
			// longer than what Node removes
			execFileSync("rm", ["-rf", mine]);
		}
	});
});
