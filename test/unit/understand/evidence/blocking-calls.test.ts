import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { readCore } from "../../../../src/core/core.ts";
import { deadlinesOf } from "../../../../src/understand/evidence/deadlines.ts";
import { type Evidence, evidenceIn } from "../../../../src/understand/evidence/evidence.ts";
import { reportedWords } from "../../../../src/understand/evidence/reported-events.ts";
import { waitsOf } from "../../../../src/understand/evidence/waits.ts";
import { taskFromCore } from "../../../../src/understand/from-core/from-core.ts";
import { type BuiltCore, buildCore } from "../../../support/builders/core-builder.ts";
import { asleepIn, deduced, ints, poke, told, withGlibc, words } from "../../../support/builders/deduced-core.ts";
import { deadCore, deadPlaces, REG, registersOf } from "../../../support/builders/pair.ts";
import { present } from "../../../support/present.ts";

/*
 * A thread in a handler, by hand: struct rt_sigframe as in signal-frame.test.ts, with the registers that the handler had
 * interrupted (arch/x86/include/uapi/asm/sigcontext.h), and the instructions of the call at which they stood.
 */

const [P, libc, heap] = [4096n, deadPlaces.libc, deadPlaces.heap];
const sp = present(registersOf(deadPlaces, 0)[REG.sp]);
const FRAME = (sp & ~63n) + 0x108n;
const EINTR = -4n;
/** mov eax, NUMBER; syscall: in a page of libc that the core holds. */
const CODE = libc + 3n * P + 0x100n;
const BEHIND = CODE + 7n;
const code = (number: number): Buffer => Buffer.from([0xb8, number & 255, number >> 8, 0, 0, 0x0f, 0x05]);

interface Interrupted {
	readonly di?: bigint;
	readonly si?: bigint;
	readonly dx?: bigint;
	readonly r10?: bigint;
	readonly ax?: bigint;
	readonly ip?: bigint;
	/** The stack pointer, where another frame may be. */
	readonly above?: bigint;
}

function withFrame(core: BuiltCore, at: bigint, interrupted: Interrupted): BuiltCore {
	const { di = 0n, si = 0n, dx = 0n, r10 = 0n, ax = EINTR, ip = BEHIND, above = at + 440n + 640n } = interrupted;
	const bytes = Buffer.alloc(440 + 512);
	bytes.set(words(libc + P + 0x50n, 7n, 0n, 0n, 2n, 0n));
	bytes.set(words(0n, 0n, r10), 48);
	bytes.set(words(di, si, 0n, 0n, dx, ax, 0n, above, ip), 48 + 64);
	bytes.writeUInt16LE(0x33, 48 + 144);
	bytes.writeBigUInt64LE(at + 440n, 48 + 184);
	bytes.writeInt32LE(11, 8 + 304);
	bytes.writeUInt32LE(0x46505853, 440 + 464);
	bytes.writeUInt32LE(512, 440 + 468);
	return poke(core, at, bytes);
}

const within = (number: number, interrupted: Interrupted = {}, core = withGlibc(deadCore())): BuiltCore =>
	withFrame(poke(core, CODE, code(number)), FRAME, interrupted);

function evidenceOf(core: BuiltCore): Evidence & { readonly memory: ReturnType<typeof taskFromCore>["memory"] } {
	const dead = taskFromCore(readCore(fromBuffer("core", buildCore(core))));
	return Object.assign(
		evidenceIn(dead, () => undefined),
		{ memory: dead.memory },
	);
}

const [EPOLL_WAIT, PPOLL, CLOCK_NANOSLEEP, RT_SIGSUSPEND] = [232, 271, 230, 130];
const callsOf = (core: BuiltCore) =>
	evidenceOf(core).calls.map(({ tid, call, registers, handler }) => [tid, call, registers.di, handler?.at]);

describe("the system call of a thread", () => {
	test("stands in its registers where it was asleep", () => {
		expect(callsOf(asleepIn(withGlibc(deadCore()), 500, EPOLL_WAIT, 5n))).toEqual([[500, "epoll_wait", 5n, undefined]]);
	});

	test.each([
		["was to end with EINTR", {}],
		["was to be made again", { ax: BigInt(EPOLL_WAIT), ip: CODE + 5n }],
	])("that a handler had interrupted stands in its frame, where the call %s", (_, how) => {
		expect(callsOf(within(EPOLL_WAIT, { di: 5n, ...how }))).toEqual([[500, "epoll_wait", 5n, FRAME]]);
	});

	test("may be one of several, for a handler may sleep too", () => {
		const second = FRAME + 440n + 640n + 0x108n - ((FRAME + 440n + 640n) & 63n) + 64n;
		const nested = withFrame(within(EPOLL_WAIT, { di: 5n }), second, { di: 6n });
		const asleep = asleepIn(nested, 500, RT_SIGSUSPEND, heap);
		expect(callsOf(asleep)).toEqual([
			[500, "rt_sigsuspend", heap, undefined],
			[500, "epoll_wait", 5n, FRAME],
			[500, "epoll_wait", 6n, second],
		]);
	});

	test.each([
		["the call had returned", { ax: 0n }],
		["no instruction tells which it was", { ip: BEHIND + 0x40n }],
		["it was at work", { ax: 3n, ip: libc + P + 0x10n }],
	])("is none where %s", (_, how) => {
		expect(callsOf(within(EPOLL_WAIT, { di: 5n, ...how }))).toEqual([]);
	});
});

describe("what follows from a call that a handler interrupted", () => {
	const EVENTS = heap + 0x80n;
	const redis = poke(within(EPOLL_WAIT, { di: 5n, si: EVENTS, dx: 8n, r10: 100n }), EVENTS, ints(1, 7, 0, 0));

	test("is a descriptor", () => {
		const found = deduced(redis);
		expect(found.task.files.descriptors.find(({ number }) => number === 5)?.description).toMatchObject({
			kind: "epoll",
			targets: [{ number: 7 }],
		});
		expect(told(found, "descriptor-deduced")[0]).toBe(
			"caution descriptor 5: an epoll instance (thread 500 slept, when a handler was called, in epoll_wait on it) that watches 7; what else it watched is not known",
		);
	});

	test("is what epoll had reported", () => {
		const { calls, memory } = evidenceOf(redis);
		expect(reportedWords(calls, memory)).toEqual(new Map([[5, new Set([7n])]]));
	});

	test("is what poll watched", () => {
		const polled = poke(within(PPOLL, { di: EVENTS, si: 2n }), EVENTS, ints(7, 1, 9, 1));
		const { calls, memory } = evidenceOf(polled);
		expect(waitsOf(calls, memory).map(({ descriptor }) => descriptor)).toEqual([7, 9]);
	});

	test("is until when it slept, if nobody else tells", () => {
		const MONOTONIC = 1n;
		const until = heap + 0x200n;
		const slept = poke(within(CLOCK_NANOSLEEP, { di: MONOTONIC, si: 1n, r10: 0n, dx: until }), until, words(500n, 7n));
		const { calls, memory } = evidenceOf(slept);
		expect(deadlinesOf(calls, memory)).toEqual([
			{ tid: 500, call: "clock_nanosleep", clock: 1, at: 500n * 1_000_000_000n + 7n },
		]);
		const other = poke(
			asleepIn(slept, 500, CLOCK_NANOSLEEP, MONOTONIC, 1n, heap + 0x300n),
			heap + 0x300n,
			words(600n, 0n),
		);
		const both = evidenceOf(other);
		expect(deadlinesOf(both.calls, both.memory).map(({ at }) => at)).toEqual([600n * 1_000_000_000n]);
	});
});
