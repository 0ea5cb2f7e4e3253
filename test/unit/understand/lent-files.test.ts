import { expect, it } from "vitest";
import type { OpenFile } from "../../../src/descriptors/file.ts";
import { forestOf } from "../../../src/forest/forest.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import type { ThreadPair } from "../../../src/understand/donor/thread-pairs.ts";
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

it("names the dead process and its threads where the donor and its own were told of input, and nobody else anew", () => {
	const told = (pid: number): OpenFile => ({ ...open("/read", RDONLY), owner: { type: 1, pid, signal: 10 } });
	const donor = smallTask({ open: [told(500), told(502), told(7)] });
	const dying = { ...dead, pid: 900 } as PartialTask;
	const pair = { dead: { tid: 902 }, donor: { tid: 502 }, own: true } as unknown as ThreadPair;
	const { descriptors } = lentFiles(dying, { task: donor, pairs: [pair] }, () => {});
	expect(descriptors.map(({ description }) => description.owner?.pid)).toEqual([900, 902, 7]);
});

it("keeps one description of descriptors that share it: it is one thing to whoever makes the process", () => {
	const shared: OpenFile = { ...open("/write", WRONLY), owner: { type: 1, pid: 500, signal: 10 } };
	const donor = smallTask({ open: [shared, shared] });
	const files = lentFiles({ ...dead, pid: 900 } as PartialTask, { task: donor, pairs: [] }, () => {});
	expect(files.descriptors[1]?.description).toBe(files.descriptors[0]?.description);
	expect(() => forestOf([{ ...donor, files }])).not.toThrow();
});

it("gives the dead process the session of the donor's terminal, and nothing of what waited in it", () => {
	const terminal = {
		id: 0x8803,
		index: 3,
		mastered: true,
		session: 500,
		foreground: 7,
		input: Buffer.from("ls\n"),
	} as const;
	const end = { kind: "tty", id: ++id, flags: RDWR, path: "/dev/pts/3", place: "slave", terminal } as const;
	const said: string[] = [];
	const { descriptors } = lentFiles(
		{ ...dead, pid: 900 } as PartialTask,
		{ task: smallTask({ open: [end] }), pairs: [] },
		({ weight, subject, text }) => void (weight === "note" || said.push(`${weight} ${subject} ${text}`)),
	);
	expect(descriptors[0]?.description).toEqual({
		...end,
		terminal: { id: 0x8803, index: 3, mastered: true, session: 900, foreground: 7 },
	});
	expect(said).toEqual([
		"caution descriptor 0 (/dev/pts/3) what waited in the donor's terminal is not the dead process's: nothing waits in its own",
	]);
});
