import fc from "fast-check";
import { expect, test } from "vitest";
import type { Forest } from "../../src/forest/forest.ts";
import { compileForest } from "../../src/plan/compile/compile.ts";
import { neededFiles } from "../../src/plan/files/needed-files.ts";
import { asIfOpened, keyOfInput, sourcesOf } from "../../src/plan/inputs.ts";
import { type Plan, WORKSHOP } from "../../src/plan/plan.ts";
import { FIRST_INPUT_FD, REPORT_FD } from "../../src/program/abi.ts";
import { assemble } from "../../src/program/assemble.ts";
import { SIMPLE } from "../support/builders/several.ts";
import { letterOf, oldForest, smallForest } from "../support/builders/small-forest.ts";
import { type ForestKernel, type ModelFd, type ModelOpen, modelForest } from "../support/models/model-forest.ts";
import { agreeable, type Outcome, runModel } from "../support/models/model-kernel.ts";
import { modelSpace } from "../support/models/model-space.ts";
import { present } from "../support/present.ts";

// Whatever processes are to one another, a kernel that carries out their plan has them so.

const AGENT = 100_000;
const [READ, PRCTL, LEAVE, SET_PDEATHSIG] = [0, 157, 0xff03, 1n] as const;
const POLICY = { fds: new Map<number, string>(), missing: "error" as const };

interface CarriedOut {
	readonly kernel: ForestKernel;
	readonly outcome: Outcome;
	readonly plan: Plan;
}

function carriedOut(forest: Forest): CarriedOut {
	const { processes } = forest;
	const given = [...new Set(processes.flatMap(sourcesOf))];
	const files = processes.flatMap((task) => neededFiles(task, POLICY));
	const needed = [...new Map(files.map((it) => [keyOfInput(it.path, it.use, it.by), it])).values()];
	const opened = asIfOpened(needed, given);
	const plan = compileForest(forest, SIMPLE.facts, { ...POLICY, given, opened });
	const { pieces, firstStep, contextAt } = assemble(plan);
	const kernel = modelForest();
	const openFile = (more: Partial<ModelOpen>): ModelFd => ({
		description: { kind: "file", deeds: [], ...more },
		closeOnExec: true,
	});
	const table = new Map<number, ModelFd>([[REPORT_FD, openFile({ kind: "report" })]]);
	for (const [i, source] of given.entries())
		table.set(FIRST_INPUT_FD + i, openFile({ content: present(source.read(0n as never, Number(source.size))) }));
	for (const { number, path } of opened) table.set(number, openFile({ path, node: true }));
	const agent = modelSpace(plan.hole);
	kernel.adopt(AGENT, undefined, agent, table);
	const run = { models: [kernel.model, agreeable], context: contextAt };
	if (plan.lists.some(({ name }) => name === WORKSHOP)) {
		const { reports } = runModel({ ...run, pieces, memory: agent, pid: AGENT, steps: firstStep(WORKSHOP) });
		expect(reports).toEqual([]);
	} else for (const { at, bytes } of pieces) agent.write(at, bytes);
	const first = agent.fork();
	kernel.adopt(plan.pid, AGENT, first, present(kernel.processes.get(AGENT)).table);
	const outcome = runModel({ ...run, pieces: [], memory: first, pid: plan.pid, steps: firstStep("leader") });
	return { kernel, outcome, plan };
}

/** Which of some things are the same, as numbers in the order of the first of each. */
function sameness(things: readonly unknown[]): number[] {
	const met = [...new Set(things)];
	return things.map((it) => met.indexOf(it));
}

function lawful(forest: Forest): void {
	const { processes } = forest;
	const { kernel, outcome, plan } = carriedOut(forest);
	expect(outcome.reports.filter(({ id }) => id !== 0n)).toEqual([]);
	expect(outcome.waiting).toEqual([]);
	// what the restorer says is for all of them: were each to read a byte of its own, a quick one would take two
	const heard = outcome.calls.filter(({ number, args }) => number === READ && args[0] === BigInt(plan.reportFd));
	expect(heard.map(({ tid }) => tid)).toEqual([plan.pid, plan.pid]);
	// a program that ends at once would take along whoever still ends with it
	const last = (tid: number, call: number, first: bigint | undefined): number =>
		outcome.calls.findLastIndex(
			(it) => it.tid === tid && it.number === call && (first === undefined || it.args[0] === first),
		);
	for (const { identity } of processes.slice(1))
		expect(last(identity.ppid, LEAVE, undefined)).toBeGreaterThan(last(identity.pid, PRCTL, SET_PDEATHSIG));
	const tids = processes.flatMap(({ threads }) => threads.map(({ tid }) => tid));
	expect(outcome.left.map(({ tid }) => tid).sort()).toEqual(tids.sort());

	const [root] = processes;
	const rootPid = present(root).identity.pid;
	const pids = processes.map(({ identity }) => identity.pid);
	const inside = (id: number): number => (pids.includes(id) ? id : rootPid);
	const madeOf = (pid: number) => present(kernel.processes.get(pid));
	expect(pids.map((pid) => [pid, madeOf(pid).ppid, madeOf(pid).sid, madeOf(pid).pgid])).toEqual(
		processes.map(({ identity: { pid, ppid, sid, pgid } }) => [
			pid,
			pid === rootPid ? AGENT : ppid,
			pid === rootPid ? pid : inside(sid),
			pid === rootPid ? pid : inside(pgid),
		]),
	);

	const wanted = processes.flatMap(({ identity, files }) =>
		files.descriptors.map((it) => ({ pid: identity.pid, ...it })),
	);
	const got = wanted.map(({ pid, number }) => madeOf(pid).table.get(number));
	expect(got.map((it) => [it?.description.kind, it?.closeOnExec])).toEqual(
		wanted.map(({ description, closeOnExec }) => [description.kind, closeOnExec]),
	);
	expect(sameness(got.map((it) => it?.description))).toEqual(sameness(wanted.map(({ description }) => description.id)));
	const channels = wanted.flatMap(({ description: it }, i) => {
		const id = it.kind === "pipe" ? `pipe ${it.pipe.id}` : it.kind === "socket-pair" ? `pair ${it.pair}` : undefined;
		return id === undefined ? [] : [{ id, channel: got[i]?.description.channel }];
	});
	expect(sameness(channels.map(({ channel }) => channel))).toEqual(sameness(channels.map(({ id }) => id)));
	for (const { description } of got.flatMap((it) => it ?? []))
		expect(description.deeds).toEqual(description.kind === "timerfd" ? ["timer"] : []);
	expect(sameness(pids.map((pid) => madeOf(pid).table))).toEqual(
		sameness(processes.map(({ identity, files }) => files.table ?? `of ${identity.pid}`)),
	);
	for (const { identity, files } of processes)
		expect([...madeOf(identity.pid).table.keys()].sort()).toEqual(files.descriptors.map(({ number }) => number).sort());

	const shown = processes.flatMap(({ identity, memory }) =>
		memory.mappings.flatMap((it) => (it.backing.kind === "object" ? [{ pid: identity.pid, ...it }] : [])),
	);
	const inodes: unknown[] = [];
	for (const { pid, start, end, backing } of shown) {
		if (backing.kind !== "object") continue;
		const { pages, page } = madeOf(pid).space;
		inodes.push(pages.get(start)?.inode);
		for (let at: bigint = start; at < end; at += 4096n) {
			const index = (backing.offset + at - start) / 4096n;
			expect(pages.get(at)).toMatchObject({ index, shared: true });
			expect(pages.get(at)?.inode).toBe(pages.get(start)?.inode);
			expect(page(at).toString("latin1", 0, 1)).toBe(letterOf(backing.object, index));
		}
	}
	const ids = shown.map(({ backing }) => backing.kind === "object" && backing.object);
	for (const [i, { description }] of wanted.entries()) {
		if (description.kind !== "memfd") continue;
		const { inode, readOnly = false } = present(got[i]).description;
		inodes.push(inode);
		ids.push(description.object);
		expect(readOnly).toBe(description.flags === 0);
		const { seals = 0, mode, uid = 0, gid = 0 } = present(forest.shared.objects.get(description.object)).thing;
		expect(inode).toMatchObject({ seals, mode, owner: [BigInt(uid), BigInt(gid)] });
	}
	expect(sameness(inodes)).toEqual(sameness(ids));
	for (const { identity, memory } of processes) {
		const { pages, page } = madeOf(identity.pid).space;
		const mapped = memory.mappings.reduce((sum, { start, end }) => sum + Number((end - start) / 4096n), 0);
		expect(pages.size).toBe(mapped);
		for (const { start, end, backing } of memory.mappings) {
			if (backing.kind !== "anonymous") continue;
			for (let at: bigint = start; at < end; at += 4096n) {
				const content = memory.contents.find((it) => it.start === at);
				const bytes = content?.source.read(content.offset, 4096) ?? Buffer.alloc(4096);
				expect(page(at).equals(bytes)).toBe(true);
			}
		}
	}
}

test.each([
	["of all kinds", smallForest],
	["of three generations", oldForest],
])("parents, sessions, groups, descriptions and memory are those of the forest: %s", (_, forests) => {
	fc.assert(fc.property(forests, lawful), { numRuns: 120 });
});
