import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { address } from "../../src/bytes/address.ts";
import type { Credentials, Task, Thread } from "../../src/forest/task.ts";
import { NOBODY, registersOf, siginfoOf, taskOfThreads, threadOf, xstateOf } from "../support/builders/thread-task.ts";
import { expectFrames, modelOf, signalled, threadModelOf } from "../support/models/expected-threads.ts";
import { allCapable } from "../support/models/model-threads.ts";
import { anyKernel, factsOf, planOfThreads, processors, runThreads } from "../support/models/run-threads.ts";
import { present } from "../support/present.ts";

// Whatever a process was: a kernel that carries out the plan ends with its threads as they were, and with nothing else.

const PID = 4711;
const CAPABILITIES = (1n << 41n) - 1n;
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const user = fc.bigInt({ min: 0n, max: 0x7fff_ffff_efffn });
const id = fc.constantFrom(0, 1, 1000, 65534, 0xffff_fffe);
const capabilities = fc.oneof(fc.constantFrom(0n, CAPABILITIES), fc.bigInt({ min: 0n, max: CAPABILITIES }));

const credentials: fc.Arbitrary<Credentials> = fc
	.record({
		...{ uid: id, euid: id, suid: id, fsuid: id, gid: id, egid: id, sgid: id, fsgid: id },
		groups: fc.array(id, { maxLength: 5 }),
		...{ permitted: capabilities, bounding: capabilities },
		...{ effective: capabilities, inheritable: capabilities, ambient: capabilities },
		securebits: fc.constantFrom(0, 1, 4, 0x10, 0x2f),
		noNewPrivileges: fc.boolean(),
	})
	.map((some) => {
		const inheritable = some.inheritable & some.bounding;
		const ambient = some.ambient & some.permitted & inheritable;
		return { ...some, effective: some.effective & some.permitted, inheritable, ambient };
	});

const pending = fc.array(
	fc
		.tuple(
			fc.integer({ min: 1, max: 64 }).filter((signal) => signal !== 9 && signal !== 19),
			fc.constantFrom(0, -1, -6, -2, 1, 128),
			fc.nat(32768),
			u64,
		)
		.map((info) => siginfoOf(...info)),
	{ maxLength: 3 },
);

const scheduling = fc.oneof(
	fc.record({ nice: fc.integer({ min: -20, max: 19 }), policy: fc.constantFrom(0, 3, 5), priority: fc.constant(0) }),
	fc.record({
		nice: fc.integer({ min: -20, max: 19 }),
		policy: fc.constantFrom(1, 2, 0x4000_0001),
		priority: fc.integer({ min: 1, max: 99 }),
	}),
);

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });

const thread = (tid: number): fc.Arbitrary<Thread> =>
	fc
		.record({
			name: fc.string({ maxLength: 15, unit: "grapheme-ascii" }),
			seed: fc.bigInt({ min: 0n, max: 1n << 63n }),
			...{ ip: user, fs_base: user, gs_base: fc.oneof(fc.constant(0n), user), sp: u64 },
			flags: fc.constantFrom(0x202n, 0x246n, 0x10ed7n),
			xstate: fc.tuple(fc.nat(255), fc.constantFrom(0n, 1n, 2n, 3n, 0x202n, 0x207n)),
			...{ blocked: u64, pending, scheduling, credentials, parentDeathSignal: fc.constantFrom(0, 0, 9, 64) },
			alternateStack: maybe(
				fc.record({
					base: user.map(address),
					size: fc.bigInt({ min: 2048n, max: 1n << 20n }),
					flags: fc.constantFrom(0, 1, 0x8000_0000),
				}),
			),
			...{ clearTid: maybe(user.map(address)), robustList: maybe(user.map(address)) },
			rseq: maybe(
				fc.record({ area: user.map(address), size: fc.constantFrom(32, 64), signature: fc.constant(0x53053053) }),
			),
		})
		.map(({ seed, ip, fs_base, gs_base, sp, flags, xstate: [bytes, xstateBv], ...some }) => {
			const given = Object.fromEntries(Object.entries(some).filter(([, value]) => value !== undefined));
			return threadOf(tid, {
				...given,
				registers: registersOf(seed, { ip, fs_base, gs_base, sp, flags }),
				xstate: xstateOf(bytes, { xstateBv }),
			});
		});

const intervalTimer = fc.record({
	remaining: fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: 1n << 50n })),
	interval: fc.bigInt({ min: 0n, max: 1n << 50n }),
});

const limit = fc.record({ soft: u64, hard: u64 }).map(({ soft, hard }) => ({ soft: soft < hard ? soft : hard, hard }));

const task: fc.Arbitrary<Task> = fc.nat(4).chain((others) => {
	const tids = [PID, ...Array.from({ length: others }, (_, i) => 30_000 - 7 * i)];
	return fc
		.record({
			threads: fc.tuple(...tids.map(thread)),
			signalActions: fc.uniqueArray(
				fc.record({
					signal: fc.integer({ min: 1, max: 64 }).filter((signal) => signal !== 9 && signal !== 19),
					handler: fc.oneof(fc.constantFrom(0n, 1n), user).map(address),
					flags: fc.constantFrom(0n, 0x0400_0004n, 0xd400_0000n),
					restorer: user.map(address),
					mask: u64,
				}),
				{ selector: ({ signal }) => signal },
			),
			pending,
			posixTimers: fc.uniqueArray(
				fc
					.record({
						id: fc.oneof({ weight: 5, arbitrary: fc.nat(12) }, { weight: 1, arbitrary: fc.nat(0x7fff_fffe) }),
						clock: fc.constantFrom(0, 1, 7),
						...{ signal: fc.integer({ min: 1, max: 64 }), notify: fc.constantFrom(0, 1, 4), value: u64 },
						thread: fc.constantFrom(...tids),
						...{ remaining: fc.constantFrom(0n, 1n, 3_000_000_001n), interval: fc.constantFrom(0n, 5_000_000_007n) },
					})
					.map((timer) => ({ ...timer, overrun: 0 })),
				{ selector: (timer) => timer.id, maxLength: 4 },
			),
			intervalTimers: fc.record({ real: intervalTimer, virtual: intervalTimer, profiling: intervalTimer }),
			limits: fc.array(limit, { minLength: 16, maxLength: 16 }),
		})
		.map(({ threads, ...more }) => taskOfThreads(threads, more));
});

describe("a plan of threads", () => {
	it("makes exactly the process that was", () => {
		fc.assert(
			fc.property(task, fc.constantFrom("amd", "old", "older", "intel"), (whole, name) => {
				const facts = factsOf(name);
				const { process, failed, frames, outcome } = runThreads(planOfThreads(whole, facts), facts, anyKernel());
				expect(failed).toEqual([]);
				expect(outcome.waiting).toEqual([]);
				for (const [i, it] of whole.threads.entries()) {
					const named = i === 0 ? {} : { name: it.name };
					expect(process.threads.get(it.tid)).toMatchObject({ ...threadModelOf(it), ...named });
				}
				expect(process.threads.size).toBe(whole.threads.length);
				expectFrames(whole, frames, processors[name].xcr0);
				expect([process.session, process.group]).toEqual([PID, PID]);
				expect(process.pending).toEqual(signalled(whole.pending));
				const actions = new Map(
					whole.signalActions.map((it) => [it.signal, [it.handler, it.flags, it.restorer, it.mask]]),
				);
				expect(process.actions.size).toBe(62);
				for (const [signal, action] of process.actions) expect(action).toEqual(actions.get(signal) ?? [0n, 0n, 0n, 0n]);
				expect([...process.limits]).toEqual(whole.limits.map(({ soft, hard }, i) => [i, [soft, hard]]));
				const { real, virtual, profiling } = whole.intervalTimers;
				expect([...process.intervalTimers].sort()).toEqual(
					[real, virtual, profiling].flatMap(({ remaining, interval }, i) =>
						remaining === 0n ? [] : [[i, [interval, remaining]]],
					),
				);
				expect([...process.timers].sort(([a], [b]) => a - b)).toEqual(
					[...whole.posixTimers]
						.sort((a, b) => a.id - b.id)
						.map(({ id: number, overrun: _, ...timer }) => [
							number,
							{
								...timer,
								thread: timer.notify === 4 ? timer.thread : 0,
								interval: timer.remaining === 0n ? 0n : timer.interval,
							},
						]),
				);
			}),
			{ numRuns: 150 },
		);
	});

	it("gives timers their ids on kernels that cannot be asked for one", () => {
		fc.assert(
			fc.property(fc.uniqueArray(fc.nat(60), { minLength: 1, maxLength: 8 }), (ids) => {
				const timers = ids.map((number) => ({
					...{ id: number, clock: 1, signal: 10, notify: 0, value: BigInt(number) },
					...{ remaining: 1n, interval: 0n, overrun: 0 },
				}));
				const whole = taskOfThreads([threadOf(PID)], { posixTimers: timers });
				const facts = factsOf("amd");
				const kernel = anyKernel({ restoreIds: false });
				const { process, failed } = runThreads(planOfThreads(whole, facts), facts, kernel);
				expect(failed).toEqual([]);
				expect([...process.timers].map(([number, { value }]) => [number, Number(value)])).toEqual(
					[...ids].sort((a, b) => a - b).map((number) => [number, number]),
				);
			}),
			{ numRuns: 40 },
		);
	});

	it("needs no privilege for a process of the restorer's own user", () => {
		fc.assert(
			fc.property(task, (whole) => {
				const own: Task = {
					...whole,
					threads: whole.threads.map((it) => ({ ...it, credentials: { ...NOBODY, groups: [4] } })),
				};
				const facts = factsOf("amd", {
					limits: new Array(16).fill({ soft: 1n << 20n, hard: 1n << 30n }),
					capabilities: { permitted: 0n, bounding: CAPABILITIES },
				});
				const nobody = { ...allCapable(), ...modelOf(NOBODY), groups: [4, 5] };
				const kernel = anyKernel({ credentials: nobody, hardLimit: 1n << 30n, nice: 5 });
				const { process, failed } = runThreads(planOfThreads(own, facts), facts, kernel);
				expect(failed).toEqual([]);
				for (const it of own.threads) {
					const made = present(process.threads.get(it.tid));
					// groups are the restorer's, and priorities are not raised
					expect(made.credentials).toEqual({ ...modelOf(it.credentials), groups: [4, 5] });
					expect(made.nice).toBe(Math.max(5, it.scheduling.nice));
				}
				for (const [i, [soft, hard]] of process.limits) {
					const wanted = present(own.limits[i]);
					expect(hard).toBe(wanted.hard < 1n << 30n ? wanted.hard : 1n << 30n);
					expect(soft).toBe(wanted.soft < hard ? wanted.soft : hard);
				}
			}),
			{ numRuns: 50 },
		);
	});

	it("gives no capability that the restorer has not, and says so", () => {
		const most = CAPABILITIES & ~(1n << 24n);
		const facts = factsOf("amd", { capabilities: { permitted: most, bounding: most } });
		const everything = { permitted: CAPABILITIES, effective: CAPABILITIES, inheritable: CAPABILITIES };
		const whole = taskOfThreads([threadOf(PID, { credentials: { ...threadOf(PID).credentials, ...everything } })]);
		const plan = planOfThreads(whole, facts);
		expect(plan.findings).toEqual([
			{
				...{ weight: "loss", code: "credentials", subject: "process 4711" },
				text: "had CAP_SYS_RESOURCE, which the restorer cannot give",
			},
		]);
		const credentials = { ...allCapable(), permitted: most, effective: most, bounding: most };
		const { process, failed } = runThreads(plan, facts, anyKernel({ credentials }));
		expect(failed).toEqual([]);
		expect(process.threads.get(PID)?.credentials).toMatchObject({
			permitted: most,
			effective: most,
			inheritable: most,
		});
	});
});
