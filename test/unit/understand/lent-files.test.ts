import { expect, it } from "vitest";
import type { OpenFile } from "../../../src/forest/files.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import { lentFiles } from "../../../src/understand/lent-files.ts";
import { smallTask } from "../../support/builders/small-task.ts";

const dead = { threads: [], memory: { mappings: [], contents: [] } } as unknown as PartialTask;
const [RDONLY, WRONLY, RDWR, APPEND] = [0, 1, 2, 0o2000] as const;
let id = 0;
const open = (path: string, flags: number): OpenFile => ({
	...{ kind: "file", id: ++id, flags, path, position: 0n, unlinked: false },
	...{ size: 77n, mode: 0o100644 },
});

it("expects a size only of files that nobody writes to", () => {
	const donor = smallTask({
		open: [open("/read", RDONLY), open("/write", WRONLY | APPEND), open("/both", RDWR), open("/write", RDONLY)],
	});
	const { descriptors } = lentFiles(dead, { task: donor, pairs: [] }, () => {});
	expect(
		descriptors.map(({ number, description }) => [number, description.kind === "file" ? description.size : "?"]),
	).toEqual([
		[0, 77n],
		[1, undefined],
		[2, undefined],
		[3, undefined],
	]);
	for (const { description } of descriptors) expect(description).toMatchObject({ mode: 0o100644, unlinked: false });
});
