import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { writeNewDirectory } from "../../src/criu/store/commit.ts";
import type { Forest, Held } from "../../src/forest/forest.ts";
import type { Task } from "../../src/forest/task.ts";
import { forestFromImages, taskFromImages } from "../../src/images/read/from-images.ts";
import { imagesFromForest } from "../../src/images/write/to-images.ts";
import { anyForest } from "../support/builders/arbitrary-forest.ts";
import { anyTask } from "../support/builders/arbitrary-task.ts";
import { writeImagesOf } from "../support/builders/written-images.ts";
import { quickScratch } from "../support/scratch.ts";
import { type ReadImages, readImages } from "../support/witness/image-reader.ts";
import { pagesOf, withoutBytes } from "../support/witness/task-bytes.ts";

// Whatever a process is, its images are read as that process again; and its bytes are where CRIU looks for them.

async function inImages(task: Task, pages: boolean, look: (again: Task, images: ReadImages) => void): Promise<void> {
	const out = join(quickScratch(), "images");
	await writeImagesOf(task, out, { pages });
	const dir = openImageDir(out);
	try {
		look(taskFromImages(dir), readImages(out));
	} finally {
		dir.close();
	}
}

test("images of a task are that task, with every byte in its page and no page that shows zeros anyway", async () => {
	await fc.assert(
		fc.asyncProperty(withPages, (task) =>
			inImages(task, true, (again, images) => {
				expect(withoutBytes(again)).toEqual(withoutBytes(task));
				const { mappings, contents, objects } = task.memory;
				const zeros = (at: bigint): boolean =>
					mappings.some(({ start, end, backing }) => start <= at && at < end && backing.kind === "anonymous");
				same(images.pages(`pagemap-${task.identity.pid}.img`), pagesOf(contents), zeros);
				const inodes = images.names.includes("memfd.img") ? images.records("memfd.img") : [];
				expect(inodes).toHaveLength(objects.length);
				for (const [i, { contents: held }] of objects.entries())
					same(images.pages(`pagemap-shmem-${inodes[i]?.number(5)}.img`), pagesOf(held), () => true);
			}),
		),
	);
});

test("without pages they are still that task, and have none", async () => {
	await fc.assert(
		fc.asyncProperty(anyTask, (task) =>
			inImages(task, false, (again, images) => {
				expect(withoutBytes(again)).toEqual(withoutBytes(task));
				expect([...again.memory.contents, ...again.memory.objects.flatMap(({ contents }) => contents)]).toEqual([]);
				for (const name of images.names) if (name.startsWith("pages-")) expect(images.raw(name)).toHaveLength(0);
			}),
		),
		{ numRuns: 15 },
	);
});

test("images of a forest are that forest: its processes, who is whose child, and what they share", async () => {
	await fc.assert(
		fc.asyncProperty(anyForest, async (forest) => {
			const out = join(quickScratch(), "images");
			await writeNewDirectory(imagesFromForest(forest, { pages: false }).draft, undefined, out);
			const dir = openImageDir(out);
			try {
				const again = forestFromImages(dir);
				expect(again.processes.map(withoutBytes)).toEqual(forest.processes.map(withoutBytes));
				expect(again.zombies).toEqual(forest.zombies);
				expect(heldBy(again)).toEqual(heldBy(forest));
			} finally {
				dir.close();
			}
		}),
	);
});

const heldBy = ({ shared }: Forest): object =>
	Object.fromEntries(
		Object.entries(shared).map(([kind, things]: [string, ReadonlyMap<number, Held<unknown>>]) => [
			kind,
			new Map([...things].map(([number, { by }]) => [number, by])),
		]),
	);

/** Tasks without any page are refused: criu's child dies of them. */
const withPages = anyTask.filter(({ memory }) => memory.contents.length > 0);

function same(written: Map<bigint, Buffer>, held: Map<bigint, Buffer>, showsZeros: (at: bigint) => boolean): void {
	for (const [at, page] of held) {
		const there = written.get(at);
		if (there === undefined) expect([at, page.equals(ZEROS) && showsZeros(at)]).toEqual([at, true]);
		else expect([at, there.equals(page)]).toEqual([at, true]);
	}
	expect([...written.keys()].filter((at) => !held.has(at))).toEqual([]);
}

const ZEROS = Buffer.alloc(4096);
