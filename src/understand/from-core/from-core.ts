import { basename } from "node:path";
import type { Registers } from "../../arch/architecture.ts";
import type { UserRegs } from "../../arch/x86-64/registers.ts";
import { describeSiginfo } from "../../arch/x86-64/siginfo-text.ts";
import { xstateFromFxregs } from "../../arch/x86-64/xstate.ts";
import { hex } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import type { FileRange } from "../../bytes/range.ts";
import { bytesFromText, textFromBytes } from "../../bytes/text.ts";
import { buildIds } from "../../core/build-ids.ts";
import type { Core } from "../../core/core.ts";
import { linkedFiles } from "../../core/link-map.ts";
import { type CoreMemory, coreMemory } from "../../core/memory.ts";
import { type InitialStack, initialStack } from "../../core/stack.ts";
import type { CoreThread } from "../../core/threads.ts";
import { refuse } from "../../errors.ts";
import { caution } from "../../finding.ts";
import type { Death, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import { AT } from "../../linux/auxv.ts";
import { readSiginfo } from "../../linux/siginfo.ts";
import { signalName } from "../../linux/signal.ts";
import { withoutHoles } from "./holes.ts";
import { leadershipOf } from "./leader.ts";
import { contentsOfCore, mappingsOfCore, missingFindings } from "./memory.ts";
import { withThreadPointers } from "./thread-pointers.ts";

/**
 * What a core tells of its process.
 *
 * @param holes of the core's file, where they are known: what lies in them need not be read.
 * @param unnamed what its program is called where no mapping tells; without it, such a core is refused.

 * @throws NecromancerError ERR_NOTE_MISSING without an auxiliary vector that names the executable, and whatever is
 *   wrong with the core.
 */
export function taskFromCore<R extends Registers = UserRegs>(
	given: Core<R>,
	holes: readonly FileRange[] = [],
	unnamed?: (stack: InitialStack) => string,
): PartialTask<R> {
	const linked = given.files.length > 0 ? [] : linkedFiles(given, coreMemory(given));
	const core = linked.length === 0 ? given : { ...given, files: linked };
	const memory = coreMemory(core);
	const { process, writer } = core;
	const { pid, leader, doubt } = leadershipOf(core, memory);
	const others = core.threads.filter((thread) => thread !== leader);
	const ids = process ?? leader?.status;
	const mappings = mappingsOfCore(core, memory);
	const stack = initialStack(core, memory);
	const executable = executableOf(core, memory) ?? unnamed?.(stack) ?? refuseNameless(core);
	const named = new Set(linked.map(({ path }) => path)).size;
	const byLinker = caution(
		"files-linked",
		core.source.name,
		`names no mapped files (no NT_FILE): ${named} are known by the dynamic linker's own list; whatever else was mapped becomes private memory`,
	);
	const listed = (leader === undefined ? others : [leader, ...others]).map((thread) => threadOf(thread, writer));
	const pointed = withThreadPointers(listed, core, memory);
	const doubts = [
		...(linked.length === 0 ? [] : [byLinker]),
		...(doubt === undefined ? [] : [doubt]),
		...pointed.findings,
		...missingFindings(core.source.name, mappings),
	];
	return {
		name: core.source.name,
		writer,
		pid,
		...some("ppid", ids?.pr_ppid),
		...some("pgid", ids?.pr_pgrp),
		...some("sid", ids?.pr_sid),
		comm: process === undefined ? nameAtStart(executable) : textFromBytes(Buffer.from(process.pr_fname, "latin1")),
		...(process === undefined
			? {}
			: { owner: { uid: process.pr_uid, gid: process.pr_gid }, nice: niceOf(process.pr_nice) }),
		threads: pointed.threads,
		...(leader === undefined ? { leaderEnded: true as const } : {}),
		...(doubts.length === 0 ? {} : { doubts }),
		death: deathOf(core),
		memory: {
			mappings,
			contents: withoutHoles(contentsOfCore(memory), core.source, holes),
			auxv: core.auxv,
			...defined({ xsaveLayout: core.xsaveLayout }),
			executable,
			buildIds: buildIds(core, memory),
			stack,
			read: (at, length) => memory.read(at, length),
		},
	};
}

/** As execve(2) calls a process: 15 bytes of the last part of its path. */
const nameAtStart = (path: string): string => textFromBytes(Buffer.from(bytesFromText(basename(path)).subarray(0, 15)));

/** A signed byte, which our layouts do not have. A damaged core's is brought into range. */
const niceOf = (byte: number): number => Math.max(-20, Math.min(19, (byte << 24) >> 24));

/** gdb leaves ids it does not know at 0, which no process has. */
const some = <K extends string>(key: K, value: number | undefined): { readonly [P in K]?: number } =>
	value === undefined || value <= 0 ? {} : ({ [key]: value } as { readonly [P in K]: number });

const threadOf = <R extends Registers>(thread: CoreThread<R>, writer: Core["writer"]): PartialThread<R> => {
	const { status, fx, shadowStack } = thread;
	const xstate = thread.xstate ?? (fx === undefined ? undefined : xstateFromFxregs(fx));
	return {
		tid: status.pr_pid,
		registers: status.pr_reg,
		...defined({ xstate }),
		...(writer === "gdb" ? {} : { blocked: status.pr_sighold }),
		pending: writer === "gdb" ? 0n : status.pr_sigpend,
		...defined({ shadowStack }),
	};
};

function deathOf(core: Core<Registers>): Death {
	const first = core.threads[0];
	const tid = first?.status.pr_pid ?? 0;
	const signal = core.writer === "gdb" ? 0 : (first?.status.pr_cursig ?? 0);
	const copier = core.writer === "gdb" ? "gdb copied it" : "it was copied";
	if (signal === 0) return { tid, signal, words: `it did not die: ${copier} while it lived`, synchronous: false };
	if (core.siginfo === undefined) return { tid, signal, words: signalName(signal), synchronous: false };
	const { si_code, cause } = readSiginfo(core.siginfo, core.source.name);
	return {
		tid,
		signal,
		words: describeSiginfo(core.siginfo, core.source.name),
		// raised by the CPU, not sent: positive codes, of a fault
		synchronous: si_code > 0 && cause.kind.startsWith("fault"),
	};
}

function executableOf(core: Core<Registers>, memory: CoreMemory): string | undefined {
	for (const type of [AT.PHDR, AT.ENTRY]) {
		const at = core.auxv.find((pair) => pair.type === type)?.value;
		const path = at && memory.mappings.find(({ start, end, file }) => file && start <= at && at < end)?.file?.path;
		if (path !== undefined && path !== 0n) return path;
	}
	return undefined;
}

const refuseNameless = (core: Core<Registers>): never =>
	refuse("ERR_NOTE_MISSING", {
		subject: core.source.name,
		finding: `no file mapping (NT_FILE) holds the program headers (AT_PHDR ${hex(core.auxv.find(({ type }) => type === AT.PHDR)?.value ?? 0n)})`,
		expectation: "expected the executable's",
		remedy: "give a core whose NT_FILE note is complete",
	});
