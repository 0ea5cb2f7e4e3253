import { describe, expect, it } from "vitest";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import { type Forest, forestOf } from "../../../../src/forest/forest.ts";
import type { Task } from "../../../../src/forest/task.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../../../src/linux/mman.ts";
import { compileForest } from "../../../../src/plan/compile/compile.ts";
import type { CompileOptions } from "../../../../src/plan/compile/options.ts";
import { planSteps, SIMPLE } from "../../../support/builders/several.ts";
import { lettered, map } from "../../../support/builders/small-task.ts";
import { refusal } from "../../../support/refusal.ts";

const LENIENT: CompileOptions = { fds: new Map(), missing: "null" };
const compile = (forest: Forest, options: Partial<CompileOptions> = {}) =>
	compileForest(forest, SIMPLE.facts, { ...LENIENT, ...options });

describe("a plan of several processes", () => {
	it("makes what they share first, then children, by their parents", () => {
		const log: Description = { kind: "file", id: 3, flags: 1, path: "/tmp/log", position: 0n, unlinked: false };
		const plan = compile(
			forestOf([SIMPLE.process(5, 0, 5, 5, [log]), SIMPLE.process(6, 5, 5, 7, [log]), SIMPLE.process(7, 6, 5, 7)]),
		);
		expect(plan.others).toEqual([
			{ pid: 6, ppid: 5, sid: 5, pgid: 7, tids: [6], views: [] },
			{ pid: 7, ppid: 6, sid: 5, pgid: 7, tids: [7], views: [] },
		]);
		expect(planSteps(plan, ["shared", "children"])).toEqual([
			"leader: mmap words by which its processes wait for one another",
			"leader: close_range the agent's descriptors",
			"leader: openat descriptor 0, /tmp/log",
			"leader: close_range what was only needed meanwhile",
			"leader: dup3 file, for all that have it",
			"leader: close_range their numbers are free again",
			"leader: spawn process 6",
			"process 6: spawn process 7",
			"process 6: await until group 7 is there",
			"process 6: setpgid in process group 7",
			"process 7: setpgid leads its process group",
			"process 7: gettid others may join its group",
			"process 7: futex others may join its group",
		]);
	});

	it("fills what children have from their parent once, before they are made; the rest each by itself", () => {
		const withPages = (pid: number, ppid: number, pages: number, letters: string): Task => {
			const task = SIMPLE.process(pid, ppid, 5, 5);
			const mappings = [...task.memory.mappings, map(0x30_0000n, pages, { kind: "anonymous" })];
			const contents = [...task.memory.contents, lettered(0x30_0000n, letters)];
			return { ...task, memory: { ...task.memory, mappings, contents } };
		};
		const plan = compile(forestOf([withPages(5, 0, 3, "abc"), withPages(6, 5, 4, "abx"), withPages(7, 5, 2, "ay")]));
		expect(planSteps(plan, ["inheritance", "map", "fill"])).toEqual([
			"leader: munmap everything that nobody is to have",
			"leader: munmap everything that nobody is to have",
			"leader: mmap anonymous memory",
			"leader: mmap anonymous memory",
			"leader: pread64 fill 4096 bytes",
			"leader: pread64 fill 8192 bytes",
			"leader: pread64 fill 4096 bytes",
			"process 6: mremap it has grown since",
			"process 6: pread64 fill 4096 bytes",
			"process 7: pread64 fill 4096 bytes",
		]);
	});

	it("gives what children find in their memory their own protection, whatever that of their parent's was", () => {
		const withPages = (pid: number, ppid: number, prot: number, letters: string): Task => {
			const task = SIMPLE.process(pid, ppid, 5, 5);
			const mappings = [...task.memory.mappings, { ...map(0x30_0000n, 2, { kind: "anonymous" }), prot }];
			const contents = [...task.memory.contents, ...(letters === "" ? [] : [lettered(0x30_0000n, letters)])];
			return { ...task, memory: { ...task.memory, mappings, contents } };
		};
		const [read, write, execute] = [PROT_READ, PROT_WRITE, PROT_EXEC];
		const plan = compile(
			forestOf([
				withPages(5, 0, read | execute, "ab"),
				withPages(6, 5, read | write, "ab"),
				// its pages were given back: nothing is filled in
				withPages(7, 5, read, ""),
			]),
		);
		const protections = plan.lists.flatMap(({ name, steps }) =>
			steps.flatMap(({ call, args }) =>
				call === "mprotect" && args[0] === 0x30_0000n ? [[name, args[1], args[2]]] : [],
			),
		);
		expect(protections).toEqual([
			["leader", 0x2000n, BigInt(read | execute)],
			["process 6", 0x2000n, BigInt(read | write)],
			["process 7", 0x2000n, BigInt(read)],
		]);
	});

	it("has those that have ended end before their parent acts on signals, and stand-ins before anybody is looked at", () => {
		const killed = { pid: 9, ppid: 5, pgid: 5, sid: 5, comm: "late", status: 0x8b };
		const plan = compile(forestOf([SIMPLE.process(5, 0, 5, 5), SIMPLE.process(6, 5, 4, 4)], [killed]));
		expect(plan.zombies).toEqual([{ pid: 9, ppid: 5, sid: 5, pgid: 5, status: 11 }]);
		expect(planSteps(plan, ["children"])).toEqual([
			"leader: rt_sigaction children that end are kept",
			"leader: spawn process 9, which has ended",
			"leader: spawn stands in for process 4",
			"leader: waitid until process 9 has ended, which stays as it is",
			"leader: wait4 who stood in for process 4 is gone",
			"leader: rt_sigtimedwait hears nothing of that",
			"process 9: prctl its name",
			"process 9: prlimit64 leaves no core",
			"process 9: rt_sigaction what kills it",
			"process 9: rt_sigprocmask nothing is held back",
			"process 9: kill killed by SIGSEGV",
			"process 9: exit_group its exit status",
			"process 4: setsid leads its session",
			"process 4: spawn process 6, a child of its parent",
			"process 4: exit_group stood in for somebody",
		]);
		expect(plan.findings.map(({ subject, text }) => `${subject}: ${text}`)).toContain(
			"process 9: is dead, and had left a core: its parent hears only of the signal",
		);
	});

	it("is made from a place that is free in the layouts of all", () => {
		const favourite = compile(forestOf([SIMPLE.process(5, 0, 5, 5)])).hole;
		const other = SIMPLE.process(6, 5, 5, 5);
		const mappings = [...other.memory.mappings, map(favourite.start, 1, { kind: "anonymous" })];
		const plan = compile(forestOf([SIMPLE.process(5, 0, 5, 5), { ...other, memory: { ...other.memory, mappings } }]));
		expect(plan.hole.start).toBe(favourite.start + 0x2000n);
	});

	const two = (change: (task: Task) => Task = (task) => task): Task[] => [
		change(SIMPLE.process(5, 0, 5, 5)),
		change(SIMPLE.process(6, 5, 5, 5)),
	];
	const sealed = { seals: 2, memfdFlags: 2, uid: 0, gid: 0 };
	const object = { id: 4, name: "zone", size: 4096n, contents: [], ...sealed };
	const memfd: Description = { kind: "memfd", id: 8, flags: 2, name: "zone", object: 4, position: 0n };
	const opened =
		(description: Description) =>
		(task: Task): Task => ({
			...task,
			memory: { ...task.memory, objects: description.kind === "memfd" ? [object] : [] },
			files: { ...task.files, descriptors: [{ number: 3, closeOnExec: false, description }] },
		});
	it("makes a memfd of several once, and gives it owner and seals when all have mapped it", () => {
		const plan = compile(forestOf(two(opened(memfd))));
		const about = /memfd|mapped/;
		expect(planSteps(plan, ["shared", "map", "protect", "directories"]).filter((step) => about.test(step))).toEqual([
			"leader: memfd_create memfd zone, for all that have it",
			"leader: fcntl memfd zone, out of the way",
			"leader: close memfd zone is 71",
			"leader: dup3 memfd zone",
			"leader: dup3 memfd, for all that have it",
			"leader: await until process 6 has mapped its memfds",
			"leader: fchown who owns memfd zone",
			"leader: fcntl seals of memfd zone",
			"process 6: gettid its memfds are mapped",
			"process 6: futex its memfds are mapped",
		]);
	});

	const table = [] as const;
	it.each<[string, () => unknown]>([
		[
			"ERR_UNSUPPORTED descriptor table 3: is that of processes 6 and 7 (CLONE_FILES), expected one of them to be the other's parent, or both to have one",
			() => {
				const sharing = [SIMPLE.process(6, 5, 5, 5), SIMPLE.process(7, 8, 5, 5)].map((task) => ({
					...task,
					files: { ...task.files, descriptors: table, table: 3 },
				}));
				const [first, last] = [SIMPLE.process(5, 0, 5, 5), SIMPLE.process(8, 5, 5, 5)];
				return compile(forestOf([first, last, ...sharing]));
			},
		],
		[
			"ERR_UNSUPPORTED descriptor 3: is /proc/5/status, of processes 5, 6, which this version restores in one process only",
			() =>
				compile(
					forestOf(
						two(opened({ kind: "file", id: 8, flags: 0, path: "/proc/5/status", position: 0n, unlinked: false })),
					),
				),
		],
		[
			"ERR_UNSUPPORTED descriptor 3: is /proc/6/status, of processes 5, 6, which this version restores in one process only",
			() =>
				compile(
					forestOf(
						two(
							opened({
								...{ kind: "file", id: 8, flags: 0, path: "/proc/6/status", position: 0n, unlinked: false },
								about: 6,
							}),
						),
					),
				),
		],
		[
			"ERR_UNSUPPORTED descriptor 3: is a file about process 7 (/proc/7/status), which does not come back with it; name another file with --fd 3=PATH",
			() =>
				compile(
					forestOf(
						two(
							opened({
								...{ kind: "file", id: 8, flags: 0, path: "/proc/7/status", position: 0n, unlinked: false },
								about: 7,
							}),
						),
					),
				),
		],
		[
			"ERR_UNSUPPORTED --fd: names a descriptor of one process, and there are 2 processes",
			() => compile(forestOf(two()), { fds: new Map([[3, "/dev/null"]]) }),
		],
		[
			"ERR_UNSUPPORTED --fresh-ids: gives one process an id of the kernel's choice, and there are 2 processes",
			() => compile(forestOf(two()), { freshIds: true }),
		],
	])("refuses: %s", (text, deed) => {
		expect(refusal(deed)).toBe(text);
	});
});
