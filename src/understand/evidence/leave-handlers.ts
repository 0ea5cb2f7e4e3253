import { FP_XSTATE_MAGIC1, FPX_SW_BYTES, fpxSwBytes } from "../../arch/x86-64/sigframe.ts";
import { guessXstateLayout, readXstate, type Xstate } from "../../arch/x86-64/xstate.ts";
import { type Address, address, hex } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { viewOf } from "../../bytes/layout.ts";
import { NecromancerError } from "../../errors.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { Death, PartialMemory, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import { signalName, signalNumber } from "../../linux/signal.ts";
import { goPanics } from "./go-poller.ts";
import type { OpenObject } from "./program-objects.ts";
import { interruptedRegisters, type SignalFrame, signalFrames } from "./signal-frame.ts";

/** Signals whose handlers tell of a crash: those of faults, and those that a program or its user ends itself with. */
const CRASHES: ReadonlySet<number | undefined> = new Set(
	["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT", "SIGQUIT"].map(signalNumber),
);

/** Handlers within handlers, at most. */
const MOST = 16;

/** No processor's XSAVE area is larger; the kernel's own says how large it is. */
const LARGEST_AREA = 65_536;

/**
 * The same dead process, with threads taken out of the handlers in which they told of the crash (Go, glog, faulthandler, redis:
 * they print what they know, and raise the signal again) and put back where the signal had come: registers, signal mask, FPU
 * and vector registers and the signal stack are as the kernel had saved them on the handler's stack.
 *
 * Handlers are left from the innermost outwards as long as their frames say a signal of a crash. A frame that says another is
 * of a handler that was at work when the crash came: it stays. A frame names its signal only with SA_SIGINFO. One without is
 * left if it is the innermost of the thread that took the fatal signal, or if its saved trap number shows a fault.
 */
export function leaveHandlers(dead: PartialTask, open: OpenObject, report: (finding: Finding) => void): PartialTask {
	let { death } = dead;
	const frameOf = signalFrames(dead.threads, dead.memory);
	const threads = dead.threads.map((thread) => {
		let at = thread;
		for (let left = 0; left < MOST; left++) {
			const frame = frameOf(at);
			if (frame === undefined) break;
			if (!tellsOfCrash(frame, left === 0 && thread.tid === death.tid)) break;
			at = interruptedBy(frame, at, dead.memory, report);
			if (thread.tid === death.tid) death = deathAt(frame, death);
		}
		return at;
	});
	if (threads.every((thread, i) => thread === dead.threads[i]))
		report(
			caution(
				"handler-left",
				dead.name,
				"no thread was in a handler of a crash, as far as stacks tell; all stay where they were",
			),
		);
	else if (goPanics(dead.memory, open))
		report(
			loss(
				"handler-left",
				"Go's runtime",
				"had stopped all goroutines for good before it raised the signal, and its memory says so: going on, it stands still or aborts again; look at it with a debugger",
			),
		);
	return { ...dead, death, threads };
}

const tellsOfCrash = ({ signal, trap }: SignalFrame, isFatal: boolean): boolean =>
	signal === undefined ? isFatal || trap !== 0n : CRASHES.has(signal);

function interruptedBy(
	frame: SignalFrame,
	thread: PartialThread,
	memory: PartialMemory,
	report: (finding: Finding) => void,
): PartialThread {
	const { interrupted, interruptedMask, alternateStack, signal } = frame;
	const subject = `thread ${thread.tid}`;
	report(
		note(
			"handler-left",
			subject,
			`taken out of a handler${signal === undefined ? "" : ` of ${signalName(signal)}`} (frame at ${hex(frame.at)}), back to ${hex(interrupted.rip)}`,
		),
	);
	const { xstate: old, ...known } = thread;
	const xstate = savedXstate(address(interrupted.fpstate), memory, subject);
	if (xstate === undefined)
		report(loss("xstate", subject, "its FPU state was not found in the frame; it has that of the handler"));
	const kept = xstate ?? old;
	return {
		...known,
		registers: interruptedRegisters(frame, thread.registers),
		...defined({ xstate: kept }),
		blocked: interruptedMask,
		...defined({ alternateStack }),
	};
}

/** What the kernel saved before it called the handler, in the processor's own layout but for the kernel's mark (`_fpx_sw_bytes`). */
function savedXstate(at: Address, memory: PartialMemory, subject: string): Xstate | undefined {
	const head = memory.read(address(at + BigInt(FPX_SW_BYTES)), fpxSwBytes.size);
	const mark = head === undefined ? undefined : fpxSwBytes.decode(head);
	if (mark === undefined || mark.magic1 !== FP_XSTATE_MAGIC1 || mark.xstate_size > LARGEST_AREA) return undefined;
	const area = memory.read(at, mark.xstate_size);
	if (area === undefined) return undefined;
	const bytes = Buffer.from(area);
	// a core has XCR0 here, and nothing behind it
	bytes.fill(0, FPX_SW_BYTES, FPX_SW_BYTES + fpxSwBytes.size);
	viewOf(bytes).setBigUint64(FPX_SW_BYTES, mark.xfeatures, true);
	try {
		const layout = memory.xsaveLayout ?? guessXstateLayout(bytes.length, mark.xfeatures, "kernel", subject);
		const held = [...layout.places].filter(([, { offset, size }]) => offset + size <= bytes.length);
		return readXstate(bytes, { ...layout, size: bytes.length, places: new Map(held) }, subject);
	} catch (error) {
		if (error instanceof NecromancerError) return undefined;
		throw error;
	}
}

/** With a fault's frame left, the faulting instruction will be executed again. */
const deathAt = ({ trap }: SignalFrame, death: Death): Death => ({
	...death,
	synchronous: death.synchronous || trap !== 0n,
});
