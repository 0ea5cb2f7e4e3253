import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { initialFx } from "../../../src/arch/x86-64/xstate.ts";
import { type Address, address, plus } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import type { PartialTask, PartialThread } from "../../../src/forest/partial-task.ts";
import type { Task, Thread } from "../../../src/forest/task.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { type Evidence, evidenceIn } from "../../../src/understand/evidence/evidence.ts";
import type { ThreadRecords } from "../../../src/understand/evidence/kernel-records.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import { type UnderstandOptions, understand } from "../../../src/understand/understand.ts";
import { believed, type Witness, witnesses } from "../../../src/understand/witnesses.ts";
import { buildCore } from "../../support/builders/core-builder.ts";
import { writeDonor } from "../../support/builders/donor-builder.ts";
import { deadCore, deadPlaces, donorPlaces, livingDonor } from "../../support/builders/pair.ts";
import { present } from "../../support/present.ts";
import { scratch } from "../../support/scratch.ts";

// Of every matter the core is believed, then what it proves, then the donor, then the default: each case lets some of them speak and
// says what each would answer; the answer is that of the first who spoke, whoever else did.

const TIDS = [500, 501];
const core = taskFromCore(readCore(fromBuffer("core", buildCore(deadCore({ tids: TIDS })))));
const living = ((): Task => {
	const dir = openImageDir(writeDonor(join(scratch(), "donor"), livingDonor({ tids: [200, 201] })));
	try {
		return taskFromImages(dir);
	} finally {
		dir.close();
	}
})();

/** Who can be heard. */
interface Scene {
	readonly dead: PartialTask;
	readonly evidence: Partial<Evidence>;
	readonly donor?: Task;
	readonly options?: Partial<UnderstandOptions>;
}

type Speaks = (scene: Scene) => Scene;

interface Matter {
	readonly of: string;
	readonly read: (task: Task) => unknown;
	/** Whoever is not here never says anything of it. */
	readonly told: { readonly [W in Witness]?: readonly [answer: unknown, speaks?: Speaks] };
	/** What nobody says, when none of the above is to be heard. */
	readonly silent?: Speaks;
}

const second = (task: Task): Thread => present(task.threads[1]);

const inCore =
	(change: Partial<PartialTask>): Speaks =>
	(scene) => ({ ...scene, dead: { ...scene.dead, ...change } });

const inThreads =
	(change: Partial<PartialThread>): Speaks =>
	(scene) => ({
		...scene,
		dead: { ...scene.dead, threads: scene.dead.threads.map((thread) => ({ ...thread, ...change })) },
	});

const withoutInThreads =
	(name: "blocked" | "xstate"): Speaks =>
	(scene) => ({
		...scene,
		dead: {
			...scene.dead,
			threads: scene.dead.threads.map(({ [name]: _gone, ...thread }) => thread),
		},
	});

const proved =
	(evidence: Partial<Evidence>): Speaks =>
	(scene) => ({ ...scene, evidence: { ...scene.evidence, ...evidence } });

const recorded = (records: ThreadRecords): Speaks => proved({ records: { of: () => records, findings: [] } });

const lent =
	(change: (donor: Task) => Partial<Task>): Speaks =>
	(scene) => ({ ...scene, donor: { ...living, ...change(living) } });

const lentThreads = (change: Partial<Thread>): Speaks =>
	lent(({ threads }) => ({ threads: threads.map((thread) => ({ ...thread, ...change })) }));

/** In the donor's heap, and the same in the dead one's. */
const [THERE, HERE] = [address(donorPlaces.heap + 0x1000n), address(deadPlaces.heap + 0x1000n)];
const elsewhere = (n: bigint): Address => plus(HERE, 0x100n * n);
const stackAt = (base: Address) => ({ base, size: 0x800n, flags: 0 });
const xstate = (mxcsr: number) => ({
	...{ fx: { ...initialFx, mxcsr }, xcr0: 3n, xstateBv: 3n, components: new Map() },
});
const timer = (remaining: bigint) => {
	const one = { remaining, interval: 0n };
	return { real: one, virtual: one, profiling: one };
};
const executable = present(core.memory.mappings.find(({ file }) => file?.path === core.memory.executable)).start;
const segment = {
	p_type: 1,
	p_flags: 5,
	p_offset: 0n,
	p_vaddr: 0n,
	p_paddr: 0n,
	p_filesz: 0x10n,
	p_memsz: 0x10n,
	p_align: 0n,
};
const lastOfHeap = present(core.memory.mappings.find(({ start }) => start === deadPlaces.heap)).end;

const matters: readonly Matter[] = [
	{
		of: "a thread's signal mask",
		read: (task) => second(task).blocked,
		silent: withoutInThreads("blocked"),
		told: {
			core: [4n, inThreads({ blocked: 4n })],
			donor: [8n, lentThreads({ blocked: 8n })],
			default: [0n],
		},
	},
	{
		of: "a signal stack",
		read: (task) => second(task).alternateStack?.base,
		told: {
			core: [elsewhere(1n), inThreads({ alternateStack: stackAt(elsewhere(1n)) })],
			evidence: [elsewhere(2n), proved({ goStacks: new Map(TIDS.map((tid) => [tid, stackAt(elsewhere(2n))])) })],
			donor: [HERE, lentThreads({ alternateStack: stackAt(THERE) })],
			default: [undefined],
		},
	},
	{
		of: "the word to clear at a thread's end",
		read: (task) => second(task).clearTid,
		told: {
			evidence: [elsewhere(1n), recorded({ clearTid: elsewhere(1n) })],
			donor: [HERE, lentThreads({ clearTid: THERE })],
			default: [undefined],
		},
	},
	{
		of: "a robust list",
		read: (task) => second(task).robustList,
		told: {
			evidence: [elsewhere(1n), recorded({ robustList: elsewhere(1n) })],
			donor: [HERE, lentThreads({ robustList: THERE })],
			default: [undefined],
		},
	},
	{
		of: "an rseq area",
		read: (task) => second(task).rseq?.size,
		told: {
			evidence: [64, recorded({ rseq: { area: elsewhere(1n), size: 64, signature: 1 } })],
			donor: [32, lentThreads({ rseq: { area: THERE, size: 32, signature: 1 } })],
			default: [undefined],
		},
	},
	{
		of: "the first thread's name",
		read: (task) => task.threads[0]?.name,
		silent: lentThreads({ name: "never" }),
		told: { core: ["prog", inCore({ comm: "prog" })] },
	},
	{
		of: "another thread's name",
		read: (task) => second(task).name,
		silent: inCore({ comm: "prog" }),
		told: { donor: ["worker", lentThreads({ name: "worker" })], default: ["prog"] },
	},
	{
		of: "how nice the first thread is",
		read: (task) => task.threads[0]?.scheduling.nice,
		silent: (scene) => {
			const { nice: _gone, ...dead } = scene.dead;
			return { ...scene, dead };
		},
		told: {
			core: [5, inCore({ nice: 5 })],
			donor: [7, lentThreads({ scheduling: { nice: 7, policy: 0, priority: 0 } })],
			default: [0],
		},
	},
	{
		of: "the scheduling of the others",
		read: (task) => second(task).scheduling,
		silent: inCore({ nice: 5 }),
		told: {
			donor: [{ nice: 7, policy: 3, priority: 0 }, lentThreads({ scheduling: { nice: 7, policy: 3, priority: 0 } })],
			default: [{ nice: 5, policy: 0, priority: 0 }],
		},
	},
	{
		of: "the FPU",
		read: (task) => second(task).xstate.fx.mxcsr,
		silent: withoutInThreads("xstate"),
		told: {
			core: [0x1f81, inThreads({ xstate: xstate(0x1f81) })],
			donor: [0x1f82, lentThreads({ xstate: xstate(0x1f82) })],
			default: [0x1f80],
		},
	},
	{
		of: "where code begins and ends",
		read: ({ memory: { bounds } }) => [bounds.startCode, bounds.endCode],
		told: {
			evidence: [[executable, executable + 0x10n], proved({ program: { bias: executable, loads: [segment] } })],
			donor: [
				[executable, executable + 0x20n],
				lent(({ memory }) => {
					const startCode = address(donorPlaces.exe);
					return { memory: { ...memory, bounds: { ...memory.bounds, startCode, endCode: plus(startCode, 0x20n) } } };
				}),
			],
			default: [[executable, executable + 4n * 4096n]],
		},
	},
	{
		of: "the program break",
		read: ({ memory }) => memory.bounds.brk,
		told: {
			evidence: [lastOfHeap - 0x10n, proved({ programBreak: address(lastOfHeap - 0x10n) })],
			donor: [lastOfHeap, lent(() => ({}))],
		},
	},
	{
		of: "what a signal does",
		read: (task) => task.signalActions.find(({ signal }) => signal === 10)?.handler,
		told: {
			donor: [
				deadPlaces.exe + 0x1234n,
				lent(({ signalActions }) => ({
					signalActions: signalActions.map((action) =>
						action.signal === 10 ? { ...action, handler: address(donorPlaces.exe + 0x1234n) } : action,
					),
				})),
			],
			default: [0n],
		},
	},
	{
		of: "a signal of libc's own",
		read: (task) => task.signalActions.find(({ signal }) => signal === 33)?.handler,
		silent: proved({
			handlers: [{ signal: 33, handler: elsewhere(3n), flags: 0n, restorer: elsewhere(3n), mask: 0n }],
		}),
		told: { donor: [0n, lent(() => ({}))], default: [elsewhere(3n)] },
	},
	{
		of: "timers",
		read: (task) => task.intervalTimers.real.remaining,
		told: { donor: [7n, lent(() => ({ intervalTimers: timer(7n) }))], default: [0n] },
	},
	{
		of: "the session",
		read: (task) => task.identity.sid,
		silent: (scene) => {
			const { sid: _gone, ...dead } = scene.dead;
			return { ...scene, dead };
		},
		told: {
			core: [77, inCore({ sid: 77 })],
			donor: [88, lent(({ identity }) => ({ identity: { ...identity, sid: 88 } }))],
			default: [500],
		},
	},
	{
		of: "real ids",
		read: (task) => task.threads[0]?.credentials.uid,
		silent: (scene) => {
			const { owner: _gone, ...dead } = scene.dead;
			const auxv = dead.memory.auxv.filter(({ type }) => type < 11 || type > 14);
			return { ...scene, dead: { ...dead, memory: { ...dead.memory, auxv } } };
		},
		told: {
			core: [1000, inCore({ owner: { uid: 1000, gid: 1000 } })],
			donor: [living.threads[0]?.credentials.uid, lent(() => ({}))],
			default: [65534],
		},
	},
	{
		of: "groups",
		read: (task) => task.threads[0]?.credentials.groups,
		told: {
			donor: [
				[4, 27],
				lent(({ threads }) => ({
					threads: threads.map((thread) => ({
						...thread,
						credentials: {
							...{ ...thread.credentials, groups: [4, 27] },
							...{ uid: core.owner?.uid ?? 0, gid: core.owner?.gid ?? 0 },
						},
					})),
				})),
			],
			default: [[]],
		},
	},
	{
		of: "limits",
		read: (task) => task.limits.length,
		told: { donor: [1, lent(() => ({ limits: [{ soft: 1n, hard: 2n }] }))], default: [0] },
	},
	{
		of: "the working directory",
		read: (task) => task.files.cwd,
		told: { donor: ["/srv", lent(({ files }) => ({ files: { ...files, cwd: "/srv" } }))], default: ["/"] },
	},
	{
		of: "clocks",
		read: (task) => task.clocks?.monotonic,
		told: {
			evidence: [
				70_000_000_000n,
				(scene) => ({
					...scene,
					options: { clocks: { host: { monotonic: 70_000_000_000n, boottime: 70_000_000_000n } } },
				}),
			],
			donor: [
				90_000_000_000n,
				lent(() => ({ clocks: { monotonic: 90_000_000_000n, boottime: 90_000_000_000n, witness: "written" } })),
			],
			default: [undefined],
		},
	},
];

function answer({ read }: Matter, { dead, evidence, donor, options = {} }: Scene): unknown {
	const all = evidenceIn(dead, () => undefined);
	const heard = { ...all, linked: dead, ...evidence };
	return read(
		understand(dead, heard, donor, { modeOf: () => undefined, clocks: {}, allowMismatch: true, ...options }).task,
	);
}

function subsets<T>([one, ...rest]: readonly T[]): T[][] {
	if (one === undefined) return [[]];
	const without = subsets(rest);
	return [...without, ...without.map((some) => [one, ...some])];
}

describe.each(matters)("$of", (matter) => {
	const heard = witnesses.filter((witness) => matter.told[witness] !== undefined && witness !== "default");

	test.each(subsets(heard).map((some) => [some.join(", ") || "nobody", some] as const))("as told by: %s", (_, some) => {
		const [first = "default"] = some;
		const told = matter.told[first];
		if (told === undefined) return;
		const silent = matter.silent?.({ dead: core, evidence: {} }) ?? { dead: core, evidence: {} };
		const scene = some.reduce((made, witness) => present(matter.told[witness]?.[1])(made), silent);
		expect(answer(matter, scene)).toEqual(told[0]);
	});
});

test("nobody is asked once somebody has answered, and nothing is an answer", () => {
	const asked: Witness[] = [];
	const says = (witness: Witness, value: number | undefined) => () => {
		asked.push(witness);
		return value;
	};
	const told = believed<number | undefined>({
		core: says("core", undefined),
		evidence: says("evidence", 0),
		donor: says("donor", 2),
		default: says("default", 3),
	});
	expect(told).toEqual({ value: 0, by: "evidence" });
	expect(asked).toEqual(["core", "evidence"]);
	expect(believed({ default: () => 7 })).toEqual({ value: 7, by: "default" });
});
