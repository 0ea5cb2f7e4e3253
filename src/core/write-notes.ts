import { fxregs } from "../arch/x86-64/notes.ts";
import type { Xstate, XstateLayout } from "../arch/x86-64/xstate.ts";
import { writtenXstateLayout } from "../arch/x86-64/xstate-layout.ts";
import { encodeNote } from "../elf/notes.ts";
import type { NewCore } from "./new-core.ts";
import { type Noted, type NoteScope, noteKinds } from "./note-kinds.ts";
import type { CoreThread } from "./threads.ts";

/**
 * The notes of a core in the kernel's order: those of the thread that took the signal with the process's among them, then
 * those of every other thread, at the very end the layout of the XSAVE areas.
 *
 * @throws RangeError when an area has something in use that the core's layout has no place for.
 */
export function notesOf(core: NewCore): Uint8Array[] {
	const areas = core.xstate ?? commonLayout(core.threads);
	const { process, auxv, files } = core;
	const ofProcess: Noted<"process"> = {
		...{ process, auxv, files: { files, pageSize: 0n } },
		...(core.threads.some(({ xstate }) => xstate !== undefined) ? { xsaveLayout: areas } : {}),
	};
	const [first, ...others] = core.threads.map(withLegacyArea);
	return [
		...encoded({ ...first, ...ofProcess }, areas, ({ last }) => last !== true),
		...others.flatMap((thread) => encoded(thread, areas, ({ scope }) => scope === "thread")),
		...encoded(ofProcess, areas, ({ last }) => last === true),
	];
}

type Kind = { readonly scope: NoteScope; readonly last?: true };

/** The rows that are wanted and have a value, in their order. */
function encoded(
	values: { readonly [Name in keyof typeof noteKinds]?: unknown },
	areas: XstateLayout,
	wanted: (kind: Kind) => boolean,
): Uint8Array[] {
	const row = <T>(
		kind: Kind & { owner: string; type: number; encode: (value: T, areas: XstateLayout) => Uint8Array },
		value: T | undefined,
	): Uint8Array[] =>
		value === undefined || !wanted(kind) ? [] : [encodeNote(kind.owner, kind.type, kind.encode(value, areas))];
	const names = Object.keys(noteKinds) as (keyof typeof noteKinds)[];
	return names.flatMap((name) => row<never>(noteKinds[name], values[name] as never));
}

/** What is written as NT_FPREGSET, where nothing else is said, is the first part of the XSAVE area. */
const withLegacyArea = (thread: CoreThread): CoreThread => {
	const { fx, xstate } = thread;
	return fx !== undefined || xstate === undefined ? thread : { ...thread, fx: legacyOf(xstate) };
};

/** The kernel keeps the bytes of an area that are left to software (464 to 511) out of NT_FPREGSET. */
const legacyOf = ({ fx }: Xstate): Uint8Array => fxregs.encode({ ...fx, padding: fx.padding.slice(0, SOFTWARE_WORDS) });
const SOFTWARE_WORDS = 12;

const commonLayout = (threads: readonly CoreThread[]): XstateLayout =>
	writtenXstateLayout(
		new Map(
			threads.flatMap(({ xstate }) =>
				[...(xstate?.components ?? [])].map(([component, bytes]): [number, number] => [component, bytes.length]),
			),
		),
	);
