import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Address } from "../../src/bytes/address.ts";
import { partDraft } from "../../src/plan/part.ts";
import type { AssembledPlan, Plan } from "../../src/plan/plan.ts";
import type { Arg, Datum } from "../../src/program/args.ts";
import { matchArg } from "../../src/program/args.ts";
import { assemble } from "../../src/program/assemble.ts";
import { callNumber } from "../../src/program/calls.ts";
import { bytesDatum, cellDatum } from "../../src/program/data.ts";
import type { Expect } from "../../src/program/program.ts";
import { flatMemory, type Model, type Outcome, runModel } from "../support/models/model-kernel.ts";

/*
 * Whatever a plan says, the bytes say to an interpreter that never saw the encoder. The oracle is the plan itself, walked
 * step by step.
 */

const HOLE = { start: 0x2000_0000_0000n as Address, end: 0x2000_0020_0000n as Address };
const PID = 4321;
const calls = ["mmap", "prctl", "openat", "close_range", "epoll_ctl"] as const;

interface StepSeed {
	readonly call: (typeof calls)[number];
	readonly args: readonly { readonly kind: number; readonly value: bigint; readonly pick: number }[];
	readonly expect: number;
	readonly save: number | undefined;
	readonly result: bigint;
}

const word = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt({ min: -4096n, max: 70_000n }));
const stepSeed: fc.Arbitrary<StepSeed> = fc.record({
	call: fc.constantFrom(...calls),
	args: fc.array(fc.record({ kind: fc.nat(3), value: word, pick: fc.nat(1000) }), { maxLength: 6 }),
	expect: fc.nat(4),
	save: fc.option(fc.nat(1000), { nil: undefined }),
	result: fc.oneof(fc.bigInt({ min: 0n, max: (1n << 47n) - 1n }), fc.constantFrom(-1n, -2n, -12n, -4095n)),
});
const datumSeed = fc.record({
	bytes: fc.uint8Array({ maxLength: 80 }),
	room: fc.nat(200),
	align: fc.constantFrom(1, 2, 4, 8, 16, 64, 4096),
	pointers: fc.array(fc.record({ at: fc.nat(1000), to: fc.nat(1000) }), { maxLength: 2 }),
});

const pickOf = <T>(items: readonly T[], pick: number): T => {
	const item = items[pick % items.length];
	if (item === undefined) throw new Error("nothing to pick from");
	return item;
};

/** A plan of the leader and a few lists that nobody runs, and what its calls are to return. */
const plans = fc
	.record({
		data: fc.array(datumSeed, { maxLength: 8 }),
		lists: fc.array(fc.array(stepSeed, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
	})
	.map(({ data, lists }) => {
		const draft = partDraft();
		const context = bytesDatum("context", Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 0xe1, 0x10));
		const padded: Datum = { ...context.datum, size: 16 };
		const all: Datum[] = [padded];
		for (const { bytes, room, align, pointers } of data) {
			const size = bytes.length + room;
			const kept = pointers.filter(({ at }) => size >= 8 && (at % (size - 7)) + 8 <= size);
			all.push({
				name: `datum ${all.length}`,
				bytes,
				size,
				align,
				pointers: kept.slice(0, 1).map(({ at, to }) => {
					const target = pickOf(all, to);
					return { at: at % (size - 7), to: { datum: target, offset: to % (target.size + 1) } };
				}),
			});
		}
		const cells = ["a", "b", "c"].map((name): Datum => cellDatum(name).datum);
		all.push(...cells);
		const names = lists.map((_, i) => (i === 0 ? "leader" : `thread ${i}`));
		const argOf = ({ kind, value, pick }: StepSeed["args"][number]): Arg => {
			if (kind === 0) return value;
			if (kind === 1) return { valueOf: { datum: pickOf(cells, pick) } };
			if (kind === 2) return { list: pickOf(names, pick) };
			const datum = pickOf(all, pick);
			return { datum, offset: pick % (datum.size + 1) };
		};
		const expectOf = ({ expect, result }: StepSeed): Expect => {
			if (expect === 0) return "anything";
			if (expect === 1) return "success";
			if (expect === 2) return result % 3n === 0n ? { exactly: result } : { exactly: result + 1n };
			return expect === 3 ? { successOr: 12 } : "anything";
		};
		for (const [i, seeds] of lists.entries()) {
			const list = draft.list(pickOf(names, i));
			for (const seed of seeds)
				list.add("map", seed.call, seed.args.map(argOf) as never, "why", {
					expect: expectOf(seed),
					...(seed.save === undefined ? {} : { save: { datum: pickOf(cells, seed.save) } }),
				});
		}
		const plan: Plan = {
			...{ pid: PID, tids: [PID], hole: HOLE, findings: [], views: [], reportFd: 4 },
			...{ lists: draft.made().lists, data: all, context: { datum: padded } },
		};
		return { plan, results: (lists[0] ?? []).map(({ result }) => result), cells };
	});

function run(
	encoded: AssembledPlan,
	results: readonly bigint[],
): { outcome: Outcome; memory: ReturnType<typeof flatMemory> } {
	const memory = flatMemory([HOLE]);
	let next = 0;
	const scripted: Model = { call: (number) => (number === 0xfe00 ? undefined : (results[next++] ?? 0n)) };
	const outcome = runModel({
		...{ pieces: encoded.pieces, memory, models: [scripted], pid: PID },
		...{ steps: encoded.firstStep("leader"), context: encoded.contextAt },
	});
	return { outcome, memory };
}

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
const isError = (result: bigint): boolean => result < 0n && result >= -4095n;

const meets = (expect: Expect, result: bigint): boolean => {
	if (expect === "anything" || expect === "until-error") return true;
	if (expect === "success") return !isError(result);
	return "exactly" in expect ? result === expect.exactly : !isError(result) || result === BigInt(-expect.successOr);
};

describe("an encoded plan", () => {
	it("makes the calls that the plan says, with the arguments it says, and stops where it says", () => {
		fc.assert(
			fc.property(plans, ({ plan, results }) => {
				const encoded = assemble(plan);
				const { outcome } = run(encoded, results);
				const saved = new Map<Datum, bigint>();
				const expected: { id: number; number: number; args: bigint[]; result: bigint }[] = [];
				let stopped: { id: bigint; result: bigint } | undefined;
				for (const [i, { call, args, expect: wanted, save }] of (plan.lists[0]?.steps ?? []).entries()) {
					const result = results[i] ?? 0n;
					const words = args.map((arg) =>
						matchArg(arg, {
							literal: unsigned,
							address: encoded.addressOf,
							value: ({ datum }) => saved.get(datum) ?? 0n,
							list: encoded.firstStep,
							input: ({ number }) => BigInt(number),
						}),
					);
					while (words.length < 6) words.push(0n);
					expected.push({ id: i + 1, number: callNumber(call), args: words, result });
					if (save !== undefined) saved.set(save.datum, unsigned(result));
					if (meets(wanted, result)) continue;
					stopped = { id: BigInt(i + 1), result };
					break;
				}
				expect(outcome.calls).toEqual(expected.map((call) => ({ tid: PID, ...call })));
				expect(outcome.reports).toEqual(stopped === undefined ? [] : [{ task: 0x10e1n, ...stopped }]);
				expect(outcome.exited).toEqual([
					stopped === undefined ? { tid: PID, status: 0, group: false } : { tid: PID, status: 111, group: true },
				]);
			}),
		);
	});

	it("holds every datum, aligned, apart from all others, with its pointers", () => {
		fc.assert(
			fc.property(plans, ({ plan }) => {
				const encoded = assemble(plan);
				const memory = flatMemory([HOLE]);
				for (const { at, bytes } of encoded.pieces) memory.write(at, bytes);
				const taken: { start: bigint; end: bigint }[] = [];
				for (const datum of plan.data) {
					const at = encoded.addressOf({ datum });
					taken.push({ start: at, end: at + BigInt(datum.size) });
					expect(at % BigInt(datum.align)).toBe(0n);
					const bytes = new Uint8Array(datum.size);
					bytes.set(datum.bytes);
					for (const { at: offset, to } of datum.pointers)
						new DataView(bytes.buffer).setBigUint64(offset, encoded.addressOf(to), true);
					expect(memory.read(at, datum.size)).toEqual(bytes);
				}
				for (const { name, steps } of plan.lists) {
					const start = encoded.firstStep(name);
					taken.push({ start, end: start + BigInt((steps.length + 1) * 72) });
				}
				taken.push({ start: HOLE.start, end: HOLE.start + 0x4_0000n });
				const sorted = taken.filter(({ start, end }) => start < end).sort((a, b) => (a.start < b.start ? -1 : 1));
				for (const [i, { end }] of sorted.entries()) expect(end <= (sorted[i + 1]?.start ?? encoded.end)).toBe(true);
				expect(encoded.end <= HOLE.end).toBe(true);
				expect(encoded.blob).toBe(HOLE.start);
			}),
		);
	});

	it("numbers its steps once, and fails at the one it is told to", () => {
		fc.assert(
			fc.property(plans, fc.nat(100), ({ plan, results }, pick) => {
				const total = plan.lists.reduce((sum, { steps }) => sum + steps.length, 0);
				const { steps } = assemble(plan);
				expect([...steps.keys()]).toEqual(Array.from({ length: total }, (_, i) => i + 1));
				for (const [id, { list, index, step }] of steps) {
					expect(plan.lists.find(({ name }) => name === list)?.steps[index]).toBe(step);
					expect(steps.get(id)?.total).toBe(total);
				}
				const leader = plan.lists[0]?.steps ?? [];
				const reached = leader.findIndex(({ expect: wanted }, i) => !meets(wanted, results[i] ?? 0n));
				const last = reached < 0 ? leader.length : reached + 1;
				if (last === 0) return;
				const failStep = (pick % last) + 1;
				const { outcome } = run(assemble(plan, { failStep }), results);
				expect(outcome.reports).toEqual([{ task: 0x10e1n, id: BigInt(failStep), result: -38n }]);
				expect(outcome.calls.at(-1)?.number).toBe(0xfe00);
				expect(outcome.exited).toEqual([{ tid: PID, status: 111, group: true }]);
			}),
		);
	});
});
