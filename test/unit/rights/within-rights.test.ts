import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { type RightsOf, withinRights } from "../../../src/rights/within-rights.ts";
import type { OpenFile } from "../../../src/task/files.ts";
import type { Backing, GhostFile, Task } from "../../../src/task/task.ts";
import { map, smallTask, smallThread } from "../../support/builders/small-task.ts";
import { refusal } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";

/** Nobody whom the files of a test belong to. */
const reader = { uid: 4_000_042, gid: 4_000_042 };
const RDWR = 2;

const within = (task: Task, rights: Partial<RightsOf> = {}) =>
	withinRights(task, { reader, fds: new Map(), missing: "error", limits: [], ...rights });
const texts = ({ findings }: ReturnType<typeof within>): string[] =>
	findings.map(({ weight, code, subject, text }) => `${weight} ${code} ${subject}: ${text}`);

const open = (path: string, flags = 0): OpenFile => ({
	...{ kind: "file", id: 1, flags, path, position: 7n, unlinked: false },
});

/** A tree in which all may walk and read, but for what is made otherwise. */
function tree(): string {
	const root = scratch();
	chmodSync(root, 0o755);
	writeFileSync(join(root, "readable"), "");
	writeFileSync(join(root, "secret"), "", { mode: 0o600 });
	mkdirSync(join(root, "closed/open"), { recursive: true });
	writeFileSync(join(root, "closed/open/file"), "");
	chmodSync(join(root, "closed"), 0o700);
	symlinkSync("closed/open/file", join(root, "link"));
	return root;
}

describe("what a process of somebody else's core may have", () => {
	it("is what it had, as long as its user may have that", () => {
		const root = tree();
		const task = smallTask({ open: [open(join(root, "readable"))], files: { cwd: root, root: "/" } });
		const result = within(task);
		expect(result.findings).toEqual([]);
		expect(result.task).toEqual(task);
	});

	it.each([
		["that its user may not read", "secret", 0],
		["that its user may not write to", "readable", RDWR],
		["behind a directory that is closed to its user", "closed/open/file", 0],
		["that a symbolic link hides", "link", 0],
	])("is no file %s", (_, name, flags) => {
		const path = join(tree(), name);
		const task = smallTask({ open: [open(path, flags)] });
		expect(refusal(() => within(task))).toBe(
			`ERR_FILE_MISMATCH ${path}: may not be opened by uid 4000042, as whom it is raised, descriptor 0 had it open; name other files with --fd N=PATH, let /dev/null take their places with --missing-fds null, or trust the core and the images with --trust`,
		);
		const replaced = within(task, { missing: "null" });
		expect(texts(replaced)).toEqual([
			`caution credentials descriptor 0: ${path} may not be opened by uid 4000042, as whom it is raised; /dev/null takes its place`,
		]);
		expect(replaced.task.files.descriptors[0]?.description).toEqual({
			...{ kind: "file", id: 1, flags, path: "/dev/null", position: 0n, unlinked: false },
		});
		expect(within(task, { fds: new Map([[0, path]]) }).task).toEqual(task);
	});

	it("is nothing that the kernel shows to whoever opens it", () => {
		const task = smallTask({ open: [open("/proc/1/maps")] });
		expect(refusal(() => within(task))).toMatch(/^ERR_FILE_MISMATCH \/proc\/1\/maps: may not be opened/);
	});

	it("is a terminal that it is given, and devices that are everybody's", () => {
		const path = join(tree(), "secret");
		const task = smallTask({ open: [open(path, RDWR), { ...open("/dev/null", RDWR), id: 2 }] });
		expect(within(task, { tty: path }).task).toEqual(task);
	});

	it("is no directory to work in that its user could not have gone to", () => {
		const closed = join(tree(), "closed/open");
		const result = within(smallTask({ files: { cwd: closed, root: closed } }));
		expect([result.task.files.cwd, result.task.files.root]).toEqual(["/", "/"]);
		expect(texts(result)).toEqual([
			`caution credentials working directory: ${closed} is closed to uid 4000042; it is / instead`,
			`caution credentials root directory: ${closed} is closed to uid 4000042; it is / instead`,
		]);
	});

	it("is no memory through which it writes to a file that its user may not write to", () => {
		const path = join(tree(), "readable");
		const file: Backing = { kind: "file", path, offset: fileOffset(0), writable: true };
		const mapping = map(0x20_0000n, 1, file, { shared: true, prot: 1 });
		const reading = map(0x30_0000n, 1, { ...file, writable: false }, { shared: true, prot: 1 });
		const result = within(smallTask({ memory: { mappings: [mapping, reading] } }));
		expect(result.task.memory.mappings).toEqual([
			{ ...mapping, shared: false, backing: { ...file, writable: false } },
			reading,
		]);
		expect(texts(result)).toEqual([
			`caution credentials ${path}: uid 4000042 may not write to it: what was shared with the file is private now`,
		]);
	});

	it("is no set-user-ID file of root's that we would make for it", () => {
		const ghost: GhostFile = { id: 1, path: "/tmp/x", mode: 0o106755, uid: 0, gid: 0, size: 0n, contents: [] };
		const memfd = { id: 1, name: "m", mode: 0o104777, uid: 0, gid: 0, size: 0n, contents: [] };
		const { memory } = within(smallTask({ memory: { ghosts: [ghost], objects: [memfd] } })).task;
		expect(memory.ghosts).toEqual([{ ...ghost, ...reader, mode: 0o100755 }]);
		expect(memory.objects).toEqual([{ ...memfd, ...reader, mode: 0o100777 }]);
	});

	it("is no priority that its user may not ask for", () => {
		const threads = [
			smallThread({ scheduling: { nice: -20, policy: 0, priority: 0 } }),
			smallThread({ tid: 501, scheduling: { nice: 5, policy: 0x4000_0001, priority: 99 } }),
			smallThread({ tid: 502, scheduling: { nice: 19, policy: 5, priority: 0 } }),
		];
		const identity = { ...smallTask().identity, oomScoreAdjust: -1000 };
		const result = within(smallTask({ threads, identity }));
		expect(result.task.threads.map(({ scheduling }) => scheduling)).toEqual([
			{ nice: 0, policy: 0, priority: 0 },
			{ nice: 5, policy: 0, priority: 0 },
			{ nice: 19, policy: 5, priority: 0 },
		]);
		expect(result.task.identity.oomScoreAdjust).toBe(0);
		expect(texts(result)).toEqual(
			[500, 501].map(
				(tid) =>
					`caution credentials thread ${tid}: had a priority that its user may not ask for; it gets the usual one`,
			),
		);
	});

	it("is no limit above ours", () => {
		const ours = [{ soft: 5n, hard: 10n }];
		const limits = [
			{ soft: 20n, hard: 30n },
			{ soft: 20n, hard: 30n },
		];
		expect(within(smallTask({ limits }), { limits: ours }).task.limits).toEqual([{ soft: 10n, hard: 10n }, limits[1]]);
	});
});
