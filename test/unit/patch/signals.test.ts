import { describe, expect, test } from "vitest";
import { patchTimens } from "../../../src/patch/clocks.ts";
import type { PatchOptions } from "../../../src/patch/patch.ts";
import type { BuiltDonor } from "../../support/builders/donor-builder.ts";
import {
	deadCore,
	deadPlaces,
	donorPlaces,
	livingDonor,
	P,
	patchPair,
	REG,
	withSegment,
	withVma,
} from "../../support/builders/pair.ts";
import { only, present } from "../../support/present.ts";

const { exe, heap, libc, stackEnd } = deadPlaces;
const FREE = 0x7f10_0018_0000n;
const DONOR_FREE = 0x7f20_0018_0000n;

/** Index of a signal among the 62 that have an action. */
const index = (signal: number): number => signal - 1 - Number(signal > 9) - Number(signal > 19);

const actionsOf = async (donor: BuiltDonor) => {
	const { core, told } = await patchPair({ donor });
	const actions = core(500).message(3).messages(15);
	const action = (signal: number): bigint[] =>
		[1, 2, 3, 4].map((field) => present(actions[index(signal)]).number(field));
	return { actions, action, told };
};

describe("signal actions", () => {
	test("are 62, the handler and restorer each with its module, flags and mask as they were", async () => {
		const { actions, action } = await actionsOf(livingDonor());
		expect(actions).toHaveLength(62);
		expect(action(2)).toEqual([exe + P + 0x40n, 0x4000004n, libc + P + 0x80n, 0x8000n]);
		expect(action(13)).toEqual([1n, 0n, 0n, 0n]);
		expect(action(64)).toEqual([0n, 0n, 0n, 0n]);
	});

	test("fall back to the default where the handler has no place, which is a loss", async () => {
		const jit = { start: DONOR_FREE, end: DONOR_FREE + P, prot: 5, flags: 0x22, status: 0x201 };
		const donor = withVma(livingDonor(), jit);
		const actions = { 10: { handler: DONOR_FREE + 0x10n, restorer: donorPlaces.libc + P, flags: 0x4000000n } };
		const { action, told } = await actionsOf({ ...donor, actions });
		expect(action(10)).toEqual([0n, 0n, 0n, 0n]);
		expect(told).toContain(
			"loss SIGUSR1: handler 0x7f2000180010 of the donor has no place here; the default action is set",
		);
	});

	test("fall back likewise where the restorer has none: its return would jump into nowhere", async () => {
		const actions = { 12: { handler: donorPlaces.exe + P, restorer: 0x1234_5000n, flags: 0x4000000n } };
		const { action, told } = await actionsOf({ ...livingDonor(), actions });
		expect(action(12)).toEqual([0n, 0n, 0n, 0n]);
		expect(told).toContain(
			"loss SIGUSR2: restorer 0x12345000 of the donor has no place here; the default action is set",
		);
	});

	test("ignored stay ignored though their restorer has no place", async () => {
		const actions = { 1: { handler: 1n, restorer: 0x1234_5000n, flags: 0x4000000n } };
		const { action, told } = await actionsOf({ ...livingDonor(), actions });
		expect(action(1)).toEqual([1n, 0x4000000n, 0n, 0n]);
		expect(told.filter((text) => text.startsWith("loss"))).toEqual([]);
	});
});

describe("pending signals", () => {
	const siginfo = (signal: number): Buffer => Buffer.concat([Buffer.of(signal), Buffer.alloc(127)]);

	test("of the donor are not the dead process's, and the fatal one never returns", async () => {
		const core = deadCore();
		const threads = core.threads.map((thread) => ({ ...thread, pending: 1n << 5n }));
		const { core: image } = await patchPair({
			core: { ...core, threads },
			donor: { ...livingDonor(), pending: [siginfo(15)] },
		});
		expect(image(500).message(3).message(10).fields).toEqual([]);
		expect(image(500).message(5).message(9).fields).toEqual([]);
	});

	test("that a thread had blocked are queued again, 128 bytes each", async () => {
		const core = deadCore();
		const threads = core.threads.map((thread) => ({
			...thread,
			pending: (1n << 9n) | (1n << 8n) | (1n << 3n),
			blocked: 1n << 9n,
		}));
		const { core: image, told } = await patchPair({ core: { ...core, threads } });
		const queued = image(500).message(5).message(9).messages(1);
		expect(queued.map((it) => it.bytes(1).length)).toEqual([128]);
		const [record] = queued.map((it) => it.bytes(1));
		expect([record?.readInt32LE(0), record?.readInt32LE(4), record?.readInt32LE(8)]).toEqual([10, 0, -6]);
		expect(record?.subarray(12).every((byte) => byte === 0)).toBe(true);
		expect(told).toContain("caution thread 500: SIGUSR1 pending; queued again, but who sent it is not in a core");
	});
});

describe("alternate signal stacks", () => {
	const stackAt = async (base: bigint, size = 0x2000n, donor = livingDonor(), core = deadCore()) => {
		const threads = donor.threads.map((thread) => ({ ...thread, alternateStack: { base, size } }));
		const { core: image, told } = await patchPair({ core, donor: { ...donor, threads } });
		const sas = image(500).message(5).message(7);
		return {
			sas: [1, 2, 3].map((field) => sas.number(field)),
			told: told.filter((text) => text.includes("signal stack")),
		};
	};

	test("on the heap move with it, which is said", async () => {
		expect(await stackAt(donorPlaces.heap + 0x100n)).toEqual({
			sas: [heap + 0x100n, 0x2000n, 0n],
			told: ["caution thread 500: signal stack assumed at 0x555555570100, by the donor's heap"],
		});
	});

	test("in .bss move with the executable", async () => {
		expect(await stackAt(donorPlaces.exe + 4n * P, P)).toEqual({ sas: [exe + 4n * P, P, 0n], told: [] });
	});

	test("of their own mapping move to the like one at the distance of its neighbours", async () => {
		const core = withSegment(deadCore(), { start: FREE, end: FREE + 4n * P, prot: 3, bytes: Buffer.alloc(4 * 4096) });
		const donor = withVma(livingDonor(), {
			start: DONOR_FREE,
			end: DONOR_FREE + 4n * P,
			prot: 3,
			flags: 0x22,
			status: 0x201,
		});
		expect(await stackAt(DONOR_FREE + P, 0x2000n, donor, core)).toEqual({
			sas: [FREE + P, 0x2000n, 0n],
			told: ["caution thread 500: signal stack assumed at 0x7f1000181000, by the donor's mappings"],
		});
	});

	test("without a place are disabled, which is a loss", async () => {
		const lost = {
			sas: [0n, 0n, 2n],
			told: [
				"loss thread 500: the donor's signal stack at 0x7f2000180000 has no place here; handlers run on the thread's own stack",
			],
		};
		const donor = withVma(livingDonor(), {
			start: DONOR_FREE,
			end: DONOR_FREE + 4n * P,
			prot: 3,
			flags: 0x22,
			status: 0x201,
		});
		expect(await stackAt(DONOR_FREE, 0x2000n, donor)).toEqual(lost);
	});

	test("that would end beyond their new place are disabled too", async () => {
		const told = (await stackAt(donorPlaces.heap + 3n * P, 0x2000n)).told;
		expect(told).toEqual([
			expect.stringMatching(/^loss thread 500: the donor's signal stack at 0x560001003000 has no place/),
		]);
	});

	test("of the leader are not lent to threads that the donor has not", async () => {
		const donor = livingDonor();
		const threads = donor.threads.map((thread) => ({
			...thread,
			alternateStack: { base: donorPlaces.heap, size: 0x2000n },
		}));
		const { core } = await patchPair({ core: deadCore({ tids: [500, 501] }), donor: { ...donor, threads } });
		expect([1, 2, 3].map((field) => core(501).message(5).message(7).number(field))).toEqual([0n, 0n, 2n]);
	});
});

describe("timers and limits", () => {
	test("stay the donor's, and those running are named", async () => {
		const { core, told } = await patchPair({ donor: { ...livingDonor(), alarm: 5 } });
		const task = core(500).message(3);
		expect([task.has(7), task.message(8).messages(1).length]).toEqual([true, 16]);
		expect(task.message(7).message(1).number(3)).toBe(5n);
		expect(told).toContain("caution interval timer (real): armed as in the donor, 5 s left");
	});

	test("that carry an address or a thread id carry the dead process's", async () => {
		const posixTimers = [
			{ id: 0, value: donorPlaces.exe + 3n * P + 8n, seconds: 2 },
			{ id: 1, value: 42n, thread: 201 },
			{ id: 2, value: 0n, thread: 202 },
		];
		const donor = { ...livingDonor({ tids: [200, 201, 202] }), posixTimers };
		const { core, told } = await patchPair({ core: deadCore({ tids: [500, 501] }), donor });
		const timers = core(500).message(3).message(7).messages(4);
		expect(timers.map((timer) => [timer.number(5), timer.has(11) ? timer.number(11) : undefined])).toEqual([
			[exe + 3n * P + 8n, undefined],
			[42n, 501n],
			[0n, 500n],
		]);
		expect(told).toContain("caution timer 0: armed as in the donor, 2 s left");
	});
});

describe("the clock", () => {
	const clocks = async (clock: PatchOptions["clock"] = {}) => {
		const { images, told } = await patchPair({}, { clock });
		const told_ = told.filter((text) => text.includes("CLOCK"));
		if (!images.names.includes("timens-0.img")) return { read: undefined, told: told_ };
		const record = only(images.records("timens-0.img"));
		const read = [1, 2].map((field) => [record.message(field).number(1), record.message(field).number(2)]);
		return { read, told: told_ };
	};
	const second = 1_000_000_000n;
	const at = (monotonic: [bigint, bigint], boottime = monotonic) => [monotonic, boottime];

	test("is the donor's where nothing tells what it was", async () => {
		expect(await clocks()).toEqual({
			read: at([1000n, 5n]),
			told: [
				"caution CLOCK_MONOTONIC: goes on from 1000.000 s, the donor's: nothing tells what it was; --clock SECONDS does",
			],
		});
	});

	test("is this host's at the death, earlier or later than the donor's", async () => {
		expect(await clocks({ host: { monotonic: 5000n * second + 1n, boottime: 5001n * second } })).toEqual({
			read: at([5000n, 1n], [5001n, 0n]),
			told: ["note CLOCK_MONOTONIC: was at 5000.000 s when the core was written, on this boot"],
		});
		expect((await clocks({ host: { monotonic: 900n * second, boottime: 900n * second } })).read).toEqual(
			at([900n, 0n]),
		);
	});

	test("is what the user says, or the host's, for which there is no image", async () => {
		expect(await clocks({ given: 7n * second + 5n })).toEqual({
			read: at([7n, 5n]),
			told: ["note CLOCK_MONOTONIC: goes on from 7.000 s, as was asked for"],
		});
		expect(await clocks({ given: "host" })).toEqual({
			read: undefined,
			told: ["note CLOCK_MONOTONIC: becomes that of this host"],
		});
	});

	test("is not moved twice for a reckoning that is a little off", () => {
		const origin = { boot: "this", offsets: { monotonic: 0n, boottime: 0n } };
		const then = { monotonic: 5000n * second, boottime: 5000n * second, witness: "written", origin } as const;
		const reading = { tv_sec: 1n, tv_nsec: 2n };
		const once = patchTimens({ monotonic: reading, boottime: reading }, then);
		expect(once.monotonic).toEqual({ tv_sec: 5000n, tv_nsec: 0n });
		expect(patchTimens(once, { ...then, monotonic: then.monotonic + second - 1n })).toBe(once);
		expect(patchTimens(once, { ...then, monotonic: then.monotonic - second + 1n })).toBe(once);
		expect(patchTimens(once, { ...then, monotonic: then.monotonic + second })).not.toBe(once);
		expect(patchTimens(once, { ...then, origin: { ...origin, boot: "another" } })).not.toBe(once);
	});
});

describe("how it goes on", () => {
	test("a thread stopped in the donor is alive", async () => {
		const { core } = await patchPair({ donor: { ...livingDonor(), state: 3 } });
		expect(core(500).message(3).number(1)).toBe(1n);
	});

	test("its name and its stack pointer are the dead process's", async () => {
		const { core } = await patchPair({ core: { ...deadCore(), process: { pid: 500, name: "prog-renamed-15" } } });
		expect(core(500).message(3).text(6)).toBe("prog-renamed-15");
		expect(core(500).message(5).text(13)).toBe("prog-renamed-15");
		expect(
			core(500)
				.message(2)
				.message(2)
				.number(REG.sp + 1),
		).toBe(stackEnd - 0x4800n);
	});
});
