import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { OpenFile } from "../../../src/descriptors/file.ts";
import { caution, loss } from "../../../src/finding.ts";
import type { Descriptor } from "../../../src/forest/files.ts";
import type { GhostFile, Mapping, Task } from "../../../src/forest/task.ts";
import type { FilePolicy } from "../../../src/plan/files/files.ts";
import { stepText } from "../../../src/program/text.ts";
import { carriedOut as carriedOutOn } from "../../support/builders/carried-out.ts";
import { executed, mapping, PAGE, taskOf } from "../../support/builders/memory-task.ts";
import { type ModelFile, modelKernel } from "../../support/models/model-files.ts";
import { present } from "../../support/present.ts";

const WORK = 64;
const image = Buffer.from("record of the ghost|what it held|end");
const source = fromBuffer("ghost-file-1.img", image);
const onDisk = new Map<string, ModelFile>([
	["ghost-file-1.img", image],
	["/var/tmp", "directory"],
	["/elsewhere", "directory"],
	["/", "directory"],
	["/named", Buffer.of(1)],
]);

const held = (at: number, from: number, length: number): GhostFile["contents"][number] => ({
	...{ start: fileOffset(at), length: BigInt(length), available: BigInt(length) },
	...{ source, offset: fileOffset(from) },
});
const ghost = (more: Partial<GhostFile> = {}): GhostFile => ({
	...{ id: 1, path: "/var/tmp/gone", mode: 0o102640, uid: 5, gid: 6, size: 20n },
	...{ contents: [held(0, 20, 12)], accessed: 8_000_000_001n, modified: 9_000_000_002n },
	...more,
});
const opened = (number: number, more: Partial<OpenFile> = {}, closeOnExec = false): Descriptor => ({
	number,
	closeOnExec,
	description: {
		...{ kind: "file", id: number, flags: 0o100000, path: "/var/tmp/gone", position: 0n, unlinked: true, ghost: 1 },
		...more,
	},
});

const plain: FilePolicy = { fds: new Map(), missing: "error" };

function carriedOut(task: Task, policy: FilePolicy = plain) {
	const { kernel, lists, ...rest } = carriedOutOn(task, policy, onDisk, WORK);
	return { ...kernel, ...rest, steps: lists.flatMap(({ steps }) => steps) };
}

const taskWith = (descriptors: readonly Descriptor[], ghosts = [ghost()], mappings: readonly Mapping[] = []): Task =>
	taskOf({ descriptors, ghosts, mappings });

describe("files that had lost their names", () => {
	it("are made without one where they were, with content, owner, permissions and times", () => {
		const { table } = carriedOut(taskWith([opened(3)]));
		expect([...table.keys()]).toEqual([WORK, 3]);
		expect(table.get(3)?.description.nameless).toEqual({
			...{ directory: "/var/tmp", mode: 0o2640, owner: [5, 6], times: [8n, 9n] },
			content: Buffer.from("what it held\0\0\0\0\0\0\0\0"),
		});
	});

	it("are one for all descriptors, each with its own flags and offset", () => {
		const { table } = carriedOut(
			taskWith([
				opened(0, { flags: 0o102001, id: 9 }),
				opened(4, { position: 7n }, true),
				opened(7, { id: 4, position: 7n }),
			]),
		);
		const open = (number: number) => present(table.get(number));
		expect(open(4).description).toBe(open(7).description);
		expect([open(0).description, open(4).description]).toMatchObject([
			{ flags: 0o102001, position: 0n },
			{ flags: 0o100000, position: 7n },
		]);
		expect(open(0).description.nameless).toBe(open(4).description.nameless);
		expect([open(0), open(4), open(7)].map(({ closeOnExec }) => closeOnExec)).toEqual([false, true, false]);
	});

	it("keep their holes, and may be all hole", () => {
		const parts = ghost({ size: 40n, contents: [held(2, 20, 4), held(30, 33, 3)] });
		const { table } = carriedOut(taskWith([opened(3)], [parts]));
		const expected = Buffer.alloc(40);
		expected.write("what", 2);
		expected.write("end", 30);
		expect(table.get(3)?.description.nameless?.content).toEqual(expected);
		const none = carriedOut(taskWith([opened(3)], [ghost({ size: 3n, contents: [] })]));
		expect(none.table.get(3)?.description.nameless?.content).toEqual(Buffer.alloc(3));
	});

	it("come among descriptors of other kinds; nothing is made but what is needed", () => {
		const other = ghost({ id: 2, path: "/root" });
		const task = taskWith(
			[opened(1, { ghost: 2, id: 5 }), opened(3), opened(6, { id: 8, path: "/named", unlinked: false })].map((it) =>
				it.number === 6 ? { ...it, description: withoutGhost(it.description as OpenFile) } : it,
			),
			[ghost(), other],
		);
		const { table, made } = carriedOut(task);
		expect(made).toHaveLength(2);
		expect([...table.keys()].sort((a, b) => a - b)).toEqual([1, 3, 6, WORK]);
		expect(table.get(1)?.description.nameless?.directory).toBe("/");
		expect(table.get(6)?.description.path).toBe("/named");
	});

	it("are not made where nothing shows them, nor where all that did got another file", () => {
		expect(carriedOut(taskWith([])).steps.some(({ call }) => call === "sendfile")).toBe(false);
		const policy = { ...plain, fds: new Map([[3, "/named"]]) };
		expect(carriedOut(taskWith([opened(3)]), policy).steps.some(({ call }) => call === "sendfile")).toBe(false);
	});

	it("are made elsewhere where that has to be, and it is said", () => {
		const { table, findings } = carriedOut(taskWith([opened(3)]), { ...plain, ghosts: new Map([[1, "/elsewhere"]]) });
		expect(table.get(3)?.description.nameless?.directory).toBe("/elsewhere");
		expect(findings).toEqual([
			loss(
				"attribute",
				"/var/tmp/gone, deleted",
				"has no name any more, also in /proc/PID/fd, where it kept that it had",
			),
			caution(
				"replaced",
				"/var/tmp/gone, deleted",
				"cannot be made without a name where it was; it lies in /elsewhere now",
			),
		]);
	});

	it("are mapped as they were opened: to be read, and to be written to", () => {
		const at = 0x7000_0000_0000n;
		const backing = { kind: "file", path: "/var/tmp/gone", offset: fileOffset(0), writable: true, ghost: 1 } as const;
		const maps = [mapping(at, 1, backing, { shared: true }), mapping(at + 0x10_0000n, 1, backing, { prot: 1 })];
		const task = taskWith([], [ghost({ size: BigInt(PAGE) })], maps);
		const content = Buffer.alloc(PAGE, 7);
		const model = executed(task, new Map([["/var/tmp/gone", content]]));
		expect(model.open).toEqual([]);
		expect(model.behind(at)).toBe(model.behind(at + 0x10_0000n));
		expect(model.page(at)).toEqual(content);
		expect(carriedOut(task).made).toHaveLength(2);
	});

	it("may be the executable", () => {
		const task = taskWith([], [ghost({ path: "/bin/gone" })]);
		const whole: Task = { ...task, memory: { ...task.memory, executableGhost: 1 } };
		const model = executed(whole, new Map([["/bin/gone", Buffer.of(1)]]));
		expect(model.bounds.exe).toBe("/bin/gone");
		expect(model.open).toEqual([]);
	});

	it("are told in words", () => {
		const lines = carriedOut(taskWith([opened(3)])).steps.map(stepText);
		expect(lines).toContain(
			'openat(7<tmp>, ".", O_RDWR|O_TMPFILE|O_CLOEXEC, 0600) = success -> [descriptor of gone, deleted]',
		);
		expect(lines).toContain("sendfile(12, 5<ghost-file-1.img>, [20], 12) = 12");
		expect(lines).toContain("utimensat(12, NULL, [8.000000001 s, 9.000000002 s], 0) = success");
	});
});

describe("directories that had been deleted", () => {
	const directory = ghost({ path: "/var/tmp/inner", mode: 0o040750, size: 0n, contents: [] });
	const inside = (descriptors: readonly Descriptor[] = []): Task => {
		const task = taskWith(descriptors, [directory]);
		return { ...task, files: { ...task.files, cwd: "/var/tmp/inner", cwdGhost: 1 } };
	};

	it("are made where they were, and are gone when the process is in them", () => {
		const { cwd, directories, table, findings } = carriedOut(
			inside([opened(3, { path: "/var/tmp/inner", flags: 0o200000 })]),
		);
		expect([cwd, [...directories]]).toEqual(["/var/tmp/inner", []]);
		expect(table.get(3)?.description).toMatchObject({
			flags: 0o200000,
			nameless: { directory: "/var/tmp/inner", removed: true, mode: 0o750, owner: [5, 6], times: [8n, 9n] },
		});
		expect(findings).toEqual([]);
	});

	it("are made elsewhere where that has to be, and it is said", () => {
		const { cwd, findings } = carriedOut(inside(), { ...plain, directories: new Map([[1, "/elsewhere/inner.1"]]) });
		expect(cwd).toBe("/elsewhere/inner.1");
		expect(findings).toEqual([
			caution(
				"replaced",
				"/var/tmp/inner, deleted",
				"cannot be made where it was; it was called /elsewhere/inner.1 instead",
			),
		]);
	});

	it("are the working and root directories of whom they were", () => {
		const task = inside();
		const { root } = carriedOut({ ...task, files: { ...task.files, root: "/var/tmp/inner", rootGhost: 1 } });
		expect(root).toBe("/var/tmp/inner");
	});

	it("are no others that somebody puts in their places for the moment in which they are opened", () => {
		const task = inside();
		const { lists } = carriedOutOn(task, plain, onDisk, WORK);
		const steps = present(lists.find(({ name }) => name === "workshop")).steps;
		const at = steps.findIndex(({ call }) => call === "mkdirat");
		const kernel = modelKernel(onDisk, WORK, [{ name: "/var/tmp", node: true, number: 6 }]);
		kernel.run(steps.slice(0, at + 1));
		const ours = present(kernel.directories.get("/var/tmp/inner"));
		kernel.directories.set("/var/tmp/inner", { directory: "/home/other", content: Buffer.of(), mode: 0o777 });
		kernel.run(steps.slice(at + 1, at + 2));
		kernel.directories.set("/var/tmp/inner", ours);
		expect(() => kernel.run(steps.slice(at + 2))).toThrow(/^linkat.*returned -1$/);
		expect([...kernel.directories]).toEqual([]);
	});
});

const withoutGhost = ({ ghost: _, ...file }: OpenFile): OpenFile => file;
