import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import type { OpenFile } from "../../../src/descriptors/file.ts";
import type { Backing, GhostFile, Task } from "../../../src/forest/task.ts";
import { type FileAccess, type RightsOf, usesOf, withinRights } from "../../../src/rights/within-rights.ts";
import { map, smallTask, smallThread } from "../../support/builders/small-task.ts";
import { refusal } from "../../support/refusal.ts";

/** Nobody whom the files of a test belong to. */
const reader = { uid: 4_000_042, gid: 4_000_042 };
const RDWR = 2;

const within = (task: Task, rights: Partial<RightsOf> = {}) =>
	withinRights(task, { reader, fds: new Map(), missing: "error", limits: [], mayUse: () => true, ...rights });
const texts = ({ findings }: ReturnType<typeof within>): string[] =>
	findings.map(({ weight, code, subject, text }) => `${weight} ${code} ${subject}: ${text}`);

const open = (path: string, flags = 0): OpenFile => ({
	...{ kind: "file", id: 1, flags, path, position: 7n, unlinked: false },
});

/** Uses of these paths are closed to the user, and of all that lies below them. */
const closed =
	(...paths: readonly string[]) =>
	({ path, access }: FileAccess): boolean =>
		!paths.some((it) => `${path} ${access}`.startsWith(it));

describe("what a process of somebody else's core may have", () => {
	it("is what it had, as long as its user may have that", () => {
		const task = smallTask({ open: [open("/d/readable")], files: { cwd: "/d", root: "/" } });
		const result = within(task);
		expect(result.findings).toEqual([]);
		expect(result.task).toEqual(task);
	});

	it.each([
		["that its user may not read", "/secret 4", 0],
		["that its user may not write to", "/secret 6", RDWR],
		["to write to it", "/secret 2", 1],
		["not even as a node", "/secret 0", 0o10000000],
	])("is no file %s", (_, use, flags) => {
		const task = smallTask({ open: [open("/secret", flags)] });
		const mayUse = closed(use);
		expect(refusal(() => within(task, { mayUse }))).toBe(
			"ERR_FILE_MISMATCH /secret: may not be opened by uid 4000042, as whom it is raised, descriptor 0 had it open; name other files with --fd N=PATH, let /dev/null take their places with --missing-fds null, or trust the core and the images with --trust",
		);
		const replaced = within(task, { missing: "null", mayUse });
		expect(texts(replaced)).toEqual([
			"caution credentials descriptor 0: /secret may not be opened by uid 4000042, as whom it is raised; /dev/null takes its place",
		]);
		expect(replaced.task.files.descriptors[0]?.description).toEqual({
			...{ kind: "file", id: 1, flags: flags & 3, path: "/dev/null", position: 0n, unlinked: false },
		});
		expect(within(task, { fds: new Map([[0, "/secret"]]), mayUse }).task).toEqual(task);
	});

	it("is no segment of System V that is locked in memory beyond what its user may lock, of all that share it the same", () => {
		const made = { key: 0, uid: 1, gid: 1, cuid: 1, cgid: 1, contents: [] };
		const segments = [0o3600, 0o600].map((mode, id) => ({ ...made, id, mode, size: 9000n }));
		const ipc = { settings: {}, segments, semaphores: [], queues: [] };
		const limits = (most: bigint) => Array.from({ length: 16 }, () => ({ soft: most, hard: most }));
		expect(within(smallTask({ ipc }), { limits: limits(9000n) }).task.ipc).toBe(ipc);
		const [one, other] = [within(smallTask({ ipc }), { limits: limits(8999n) }), within(smallTask({ ipc }))];
		expect(one.task.ipc?.segments.map(({ mode }) => mode)).toEqual([0o1600, 0o600]);
		expect(texts(one)).toEqual([
			"caution credentials System V segments: had 9000 bytes locked, and their user may lock 8999: nothing of them is locked",
		]);
		expect(other.task.ipc).toBe(one.task.ipc);
		expect(texts(other)).toEqual([]);
	});

	it("is no timer that wakes the machine", () => {
		const timer = { id: 3, signal: 14, notify: 0, value: 0n, remaining: 5n, interval: 0n, overrun: 0 };
		const clocks = [0, 1, 7, 8, 9];
		const result = within(smallTask({ posixTimers: clocks.map((clock) => ({ ...timer, clock })) }));
		expect(result.task.posixTimers.map(({ clock }) => clock)).toEqual([0, 1, 7, 0, 7]);
		const text = "would wake the machine, which its user may not ask for; it waits until that is awake";
		expect(texts(result)).toEqual([`caution credentials timer 3: ${text}`, `caution credentials timer 3: ${text}`]);
	});

	it("is what it shows of itself, which nobody has to be asked about", () => {
		const task = smallTask({ open: [open("/proc/500/maps")] });
		expect(within(task, { mayUse: closed("/proc") }).task).toEqual(task);
		expect(usesOf(task, { fds: new Map() }).map(({ path }) => path)).toEqual(["/tmp", "/"]);
		const other = smallTask({ open: [open("/proc/1/maps")] });
		expect(usesOf(other, { fds: new Map() })).toContainEqual({ path: "/proc/1/maps", access: 4, link: false });
	});

	it("is a terminal that it is given, and devices that are everybody's", () => {
		const task = smallTask({ open: [open("/secret", RDWR), { ...open("/dev/null", RDWR), id: 2 }] });
		expect(within(task, { tty: "/secret", mayUse: closed("/secret") }).task).toEqual(task);
	});

	it("is no directory to work in that its user could not have gone to", () => {
		const result = within(smallTask({ files: { cwd: "/closed/d", root: "/closed/r" } }), { mayUse: closed("/closed") });
		expect([result.task.files.cwd, result.task.files.root]).toEqual(["/", "/"]);
		expect(texts(result)).toEqual([
			`caution credentials working directory: /closed/d is closed to uid 4000042; it is / instead`,
			`caution credentials root directory: /closed/r is closed to uid 4000042; it is / instead`,
		]);
	});

	it("is no memory through which it writes to a file that its user may not write to", () => {
		const path = "/readable";
		const file: Backing = { kind: "file", path, offset: fileOffset(0), writable: true };
		const mapping = map(0x20_0000n, 1, file, { shared: true, prot: 1 });
		const reading = map(0x30_0000n, 1, { ...file, writable: false }, { shared: true, prot: 1 });
		const result = within(smallTask({ memory: { mappings: [mapping, reading] } }), { mayUse: closed("/readable 6") });
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
