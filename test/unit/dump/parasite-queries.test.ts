import { describe, expect, it } from "vitest";
import { guessXstateLayout } from "../../../src/arch/x86-64/xstate.ts";
import { address } from "../../../src/bytes/address.ts";
import { type Asked, LAST_CALL, parasiteQueries } from "../../../src/dump/parasite-queries.ts";
import type { Place } from "../../../src/program/args.ts";
import { assemble } from "../../../src/program/assemble.ts";

const processor = { xstate: guessXstateLayout(2440, 0x207n, "kernel", "processor"), xcr0: 0x207n };
const registers = Object.fromEntries(
	"r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss fs_base gs_base ds es fs gs"
		.split(" ")
		.map((name, i) => [name, BigInt(i + 100)]),
) as Asked["registers"];
const fx = { ...{ cwd: 0x37f, swd: 0, twd: 0, fop: 0, rip: 0n, rdp: 0n, mxcsr: 0x1f80, mxcsr_mask: 0xffff } };
const xstate = {
	...{ fx: { ...fx, st_space: [], xmm_space: [], padding: [] }, xcr0: 0x207n, xstateBv: 0n },
	components: new Map(),
} as unknown as Asked["xstate"];
const thread = (tid: number): Asked => ({ tid, registers, xstate, blocked: 0x1234n });
const timer = { id: 5, signal: 14, value: 0xabcn, notify: 0, clock: 1 };
const questions = parasiteQueries([thread(10), thread(11)], [timer], processor);
const hole = { start: address(0x5000_0000n), end: address(0x5100_0000n) };
const plan = questions.program(hole);

describe("what a process is asked", () => {
	it("ends every list with the call that tells of its end, and with a way out for who is left alone", () => {
		for (const { name, steps } of plan.lists) {
			expect(steps.slice(-2).map(({ call }) => call)).toEqual([LAST_CALL, "leave"]);
			expect(steps.filter(({ call }) => call === LAST_CALL)).toHaveLength(1);
			expect(questions.listOf(Number(name.split(" ")[1]))).toBe(name);
			// a step that stops a list would end the process
			expect(steps.every(({ expect: wanted }) => wanted === "anything")).toBe(true);
		}
	});

	it("asks the first for what all share, and each for its own", () => {
		const callsOf = (i: number): Set<string> => new Set(plan.lists[i]?.steps.map(({ call }) => call));
		const attributes = ["personality", "ioprio_get", "arch_prctl", "get_mempolicy"];
		const own = ["sigaltstack", "prctl", ...attributes, LAST_CALL, "leave"];
		expect(callsOf(1)).toEqual(new Set(own));
		expect(callsOf(0)).toEqual(
			new Set([
				...["rt_sigaction", "getitimer", "timer_gettime", "timer_getoverrun", "brk", "clock_gettime", ...own],
				...["membarrier", "modify_ldt", "keyctl"],
			]),
		);
	});

	it("gives back all that a thread had, and leaves its alternate stack alone", () => {
		const encoded = assemble(plan);
		const frame = plan.lists[1]?.steps.at(-1)?.args[0] as Place;
		const view = new DataView(frame.datum.bytes.buffer);
		// struct ucontext: uc_stack at 16, uc_mcontext at 40, uc_sigmask at 296
		expect([16, 24, 32].map((at) => view.getBigUint64(at, true))).toEqual([0n, 0n, 0n]);
		expect(view.getBigUint64(40 + 15 * 8, true)).toBe(registers.sp);
		expect(view.getBigUint64(40 + 16 * 8, true)).toBe(registers.ip);
		expect(view.getBigUint64(296, true)).toBe(0x1234n);
		expect(encoded.addressOf(frame) % 16n).toBe(0n);
	});
});

describe("what its answers mean", () => {
	const memory = new Map<Place["datum"], Uint8Array>();
	const bytesOf = (name: string, nth = 0): DataView => {
		const datum = plan.data.filter((candidate) => candidate.name === name)[nth];
		if (datum === undefined) throw new Error(`no ${name}`);
		const bytes = memory.get(datum) ?? new Uint8Array(datum.size);
		memory.set(datum, bytes);
		return new DataView(bytes.buffer);
	};
	const set = (name: string, at: number, value: bigint, nth = 0): void =>
		bytesOf(name, nth).setBigUint64(at, value, true);
	// SIGINT is the second action: handler, flags, restorer, mask
	for (const [i, word] of [0x400n, 0x4000000n, 0x500n, 0xffn].entries()) set("signal actions", 32 + 8 * i, word);
	// a real timer whose signal waits: interval, then nothing left
	set("interval timers", 8, 100_000n);
	set("interval timers", 32 + 24, 7n);
	set("time of timer 5", 16, 2n);
	set("time of timer 5", 24, 5n);
	set("overrun of timer 5", 0, 3n);
	set("program break", 0, 0x600000n);
	set("dumpable", 0, 1n);
	set("subreaper", 0, 1n);
	set("membarrier", 0, 16n);
	// what the kernel does not know is as ever
	set("same-page-merging", 0, -22n);
	set("keyring of its user", 0, 77n);
	set("session keyring", 0, 8n);
	set("keys of its session", 0, (88n << 32n) | 77n);
	for (const [at, word] of [
		[0, 0x9000n],
		[8, 0n],
		[16, 8192n],
	] as const)
		set("alternate stack", at, word, 0);
	bytesOf("alternate stack", 1).setUint32(8, 2, true);
	set("clear-tid address", 0, 0x77n, 0);
	set("whether the clear-tid address is told", 0, BigInt.asUintN(64, -22n), 1);
	set("parent-death signal", 0, 9n, 1);
	set("securebits", 0, 0x2fn, 1);
	for (const nth of [0, 1]) {
		set("cpuid", 0, 1n, nth);
		set("memory-errors", 0, 2n, nth);
		set("l1d-flush", 0, 1n | 4n, nth);
	}
	set("timer-slack", 0, 9n, 0);
	set("tsc", 0, 2n, 0);
	set("store-bypass", 0, 1n | 8n, 0);
	// not for a program to choose
	set("indirect-branch", 0, 8n, 0);
	set("memory policy", 0, 2n, 0);
	set("nodes of its memory", 0, 5n, 0);

	const answers = questions.read(({ datum, offset = 0 }, length) => {
		const bytes = memory.get(datum) ?? new Uint8Array(datum.size);
		return bytes.subarray(offset, offset + length);
	});

	it("reads actions, timers and the rest that threads share", () => {
		expect(answers.signalActions).toHaveLength(62);
		expect(answers.signalActions[1]).toEqual({
			...{ signal: 2, handler: 0x400n, flags: 0x4000000n, restorer: 0x500n, mask: 0xffn },
		});
		expect(answers.intervalTimers.real).toEqual({ remaining: 100_000n, interval: 100_000n });
		expect(answers.intervalTimers.virtual).toEqual({ remaining: 7n, interval: 0n });
		expect(answers.posixTimers).toEqual([{ ...timer, remaining: 2_000_000_005n, interval: 0n, overrun: 3 }]);
		expect(answers).toMatchObject({ brk: 0x600000n, dumpable: 1, hugePagesDisabled: false, childSubreaper: true });
		expect(answers.attributes).toEqual({ membarrier: 16n, "user-keyring": 1n });
		expect(answers.beyond).toEqual({
			...{ localDescriptors: false, registerFeatures: 0n },
			keyrings: { session: [77, 88], user: 77, own: false },
		});
	});

	it("reads what each thread has", () => {
		const own = { "timer-slack": 9n, "store-bypass": 8n, "memory-policy": (5n << 16n) | 2n };
		expect(answers.threads.get(10)).toEqual({
			alternateStack: { base: 0x9000n, size: 8192n, flags: 0 },
			...{ clearTid: 0x77n, parentDeathSignal: 0, securebits: 0, attributes: { ...own, tsc: 2n } },
		});
		expect(answers.threads.get(11)).toEqual({ parentDeathSignal: 9, securebits: 0x2f, attributes: {} });
	});
});
