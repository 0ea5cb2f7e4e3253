import { elfPrstatus, fxregs, xfeatComponent } from "../arch/x86-64/notes.ts";
import { writeXstate, type Xstate, type XstateLayout } from "../arch/x86-64/xstate.ts";
import { writtenXstateLayout } from "../arch/x86-64/xstate-layout.ts";
import { bytesFromText } from "../bytes/text.ts";
import { encodeNote } from "../elf/notes.ts";
import { AT, type AuxvPair } from "../linux/auxv.ts";
import { auxvPair, elfPrpsinfo, fileNoteHead, fileNoteRow, NT } from "../linux/elf-core.ts";
import { DELETED } from "../proc/deleted.ts";
import type { NotedFile } from "./files.ts";
import type { NewCore } from "./new-core.ts";
import type { CoreThread } from "./threads.ts";

/**
 * The notes of a core in the kernel's order: those of the thread that took the signal with the process's among them, then
 * those of every other thread, at the very end the layout of the XSAVE areas.
 *
 * @throws RangeError when an area has something in use that the draft's layout has no place for.
 */
export function notesOf(draft: NewCore): Uint8Array[] {
	const layout = draft.xstate ?? commonLayout(draft.threads);
	const [first, ...others] = draft.threads;
	return [
		...(first === undefined ? [] : [core(NT.PRSTATUS, elfPrstatus.encode(first.status))]),
		core(NT.PRPSINFO, elfPrpsinfo.encode(draft.process)),
		...siginfoOf(first),
		core(NT.AUXV, auxvOf(draft.auxv)),
		core(NT.FILE, filesOf(draft.files)),
		...(first === undefined ? [] : registersOf(first, layout)),
		...others.flatMap((thread) => [
			core(NT.PRSTATUS, elfPrstatus.encode(thread.status)),
			...registersOf(thread, layout),
			...siginfoOf(thread),
		]),
		...(draft.threads.some(({ xstate }) => xstate !== undefined) ? [layoutNote(layout)] : []),
	];
}

const core = (type: number, bytes: Uint8Array): Uint8Array => encodeNote("CORE", type, bytes);
const linux = (type: number, bytes: Uint8Array): Uint8Array => encodeNote("LINUX", type, bytes);

const siginfoOf = (thread: CoreThread | undefined): Uint8Array[] =>
	thread?.siginfo === undefined ? [] : [core(NT.SIGINFO, thread.siginfo)];

function registersOf({ fx, xstate, shadowStack }: CoreThread, layout: XstateLayout): Uint8Array[] {
	const legacy = fx ?? (xstate === undefined ? undefined : legacyOf(xstate));
	return [
		...(legacy === undefined ? [] : [core(NT.FPREGSET, legacy)]),
		...(xstate === undefined ? [] : [linux(NT.X86_XSTATE, writeXstate(xstate, layout))]),
		...(shadowStack === undefined ? [] : [linux(NT.X86_SHSTK, words(shadowStack))]),
	];
}

/** The kernel keeps the bytes of an area that are left to software (464 to 511) out of NT_FPREGSET. */
const legacyOf = ({ fx }: Xstate): Uint8Array => fxregs.encode({ ...fx, padding: fx.padding.slice(0, SOFTWARE_WORDS) });
const SOFTWARE_WORDS = 12;

const words = (...values: readonly bigint[]): Uint8Array => new Uint8Array(BigUint64Array.from(values).buffer);

const auxvOf = (pairs: readonly AuxvPair[]): Uint8Array =>
	Buffer.concat(
		[...pairs, { type: AT.NULL, value: 0n }].map(({ type, value }) =>
			auxvPair.encode({ a_type: BigInt(type), a_val: value }),
		),
	);

/** The unit of the offsets in NT_FILE, as the kernel writes it. */
const FILE_NOTE_UNIT = 4096n;

/** `page_size` says in which unit offsets are counted: pages, unless one of them is no multiple of a page. */
function filesOf(files: readonly NotedFile[]): Uint8Array {
	const unit = files.every(({ offset }) => offset % FILE_NOTE_UNIT === 0n) ? FILE_NOTE_UNIT : 1n;
	const rows = files.map(({ start, end, offset }) => fileNoteRow.encode({ start, end, file_ofs: offset / unit }));
	const names = files.map(({ path, deleted }) => bytesFromText(`${path}${deleted ? DELETED : ""}\0`));
	return Buffer.concat([fileNoteHead.encode({ count: BigInt(files.length), page_size: unit }), ...rows, ...names]);
}

const layoutNote = ({ places }: XstateLayout): Uint8Array =>
	linux(
		NT.X86_XSAVE_LAYOUT,
		Buffer.concat(
			[...places.values()].map(({ component, size, offset }) =>
				xfeatComponent.encode({ type: component, size, offset, flags: 0 }),
			),
		),
	);

const commonLayout = (threads: readonly CoreThread[]): XstateLayout =>
	writtenXstateLayout(
		new Map(
			threads.flatMap(({ xstate }) =>
				[...(xstate?.components ?? [])].map(([component, bytes]): [number, number] => [component, bytes.length]),
			),
		),
	);
