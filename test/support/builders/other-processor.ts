/**
 * Makes of a core the core that the same process had left on another processor: with fewer registers, or with more. Nothing
 * here comes from src/; numbers are from Intel's SDM (volume 1, chapter 13), AMD's APM (volume 4) and include/linux/elfcore.h.
 */

export interface OtherProcessor {
	/** XSAVE components 2 and up: their places in an area, in bytes, and what every thread's registers hold. */
	readonly components: ReadonlyMap<number, { readonly offset: number; readonly bytes: Uint8Array }>;
	/** Whether its kernel is of 6.12 or later, and says where the components lie. */
	readonly layoutNote: boolean;
}

const NT_X86_XSTATE = 0x202;
const NT_X86_XSAVE_LAYOUT = 0x205;
const PT_NOTE = 4;

/** The first 160 bytes are x87's and MXCSR, the next 256 the XMM registers. */
export const XMM = { offset: 160, size: 256 } as const;
const LEGACY_AND_HEADER = 576;

/**
 * @param core The kernel's.
 * @param alter What is to be wrong with each area in the end.
 */
export function coreOfProcessor(
	core: Buffer,
	processor: OtherProcessor,
	alter: (area: Buffer) => Buffer = (area) => area,
): Buffer {
	const header = headerOfNotes(core);
	const from = Number(core.readBigUInt64LE(header + 8));
	const old = core.subarray(from, from + Number(core.readBigUInt64LE(header + 32)));
	const notes: Buffer[] = [];
	for (let at = 0; at < old.length; ) {
		const [nameSize, size, type] = [0, 4, 8].map((offset) => old.readUInt32LE(at + offset)) as [number, number, number];
		const name = old.subarray(at + 12, at + 12 + nameSize);
		const start = at + 12 + padded(nameSize);
		const desc = old.subarray(start, start + size);
		at = start + padded(size);
		if (type === NT_X86_XSTATE) notes.push(note(name, type, alter(areaOf(desc, processor))));
		else if (type !== NT_X86_XSAVE_LAYOUT) notes.push(note(name, type, desc));
	}
	if (processor.layoutNote) notes.push(note(Buffer.from("LINUX\0"), NT_X86_XSAVE_LAYOUT, layoutOf(processor)));
	const made = Buffer.concat(notes);
	// memory comes after the notes, on a page of its own: else it would be gdb's
	const memory = from + old.length;
	const start = -(-memory & -4096);
	const moved = -(-(from + made.length) & -4096) - start;
	const out = Buffer.alloc(core.length + moved);
	core.copy(out, 0, 0, from);
	made.copy(out, from);
	core.copy(out, start + moved, start);
	out.writeBigUInt64LE(BigInt(made.length), header + 32);
	for (const at of headersOf(core)) {
		const offset = Number(core.readBigUInt64LE(at + 8));
		if (offset >= start) out.writeBigUInt64LE(BigInt(offset + moved), at + 8);
	}
	return out;
}

/** The components of a processor, x87 and SSE included, as XCR0 has them. */
export const xcr0Of = ({ components }: OtherProcessor): bigint =>
	[...components.keys()].reduce((mask, component) => mask | (1n << BigInt(component)), 3n);

/** The legacy area of the thread, but for the XMM registers, which are told apart; all components in use. */
function areaOf(old: Buffer, processor: OtherProcessor): Buffer {
	const ends = [...processor.components.values()].map(({ offset, bytes }) => offset + bytes.length);
	const area = Buffer.alloc(Math.max(LEGACY_AND_HEADER, ...ends));
	old.copy(area, 0, 0, XMM.offset);
	area.set(xmmPattern, XMM.offset);
	area.writeBigUInt64LE(xcr0Of(processor), 464);
	area.writeBigUInt64LE(xcr0Of(processor), 512);
	for (const { offset, bytes } of processor.components.values()) area.set(bytes, offset);
	return area;
}

/** No two bytes near each other are the same. */
export const pattern = (component: number, size: number): Buffer =>
	Buffer.from(Array.from({ length: size }, (_, i) => (component * 31 + i * 7 + (i >> 8)) & 0xff));

export const xmmPattern = pattern(1, XMM.size);

const layoutOf = ({ components }: OtherProcessor): Buffer =>
	Buffer.concat(
		[...components].map(([component, { offset, bytes }]) => {
			const row = Buffer.alloc(16);
			for (const [i, word] of [component, bytes.length, offset].entries()) row.writeUInt32LE(word, 4 * i);
			return row;
		}),
	);

function note(name: Buffer, type: number, desc: Buffer): Buffer {
	const out = Buffer.alloc(12 + padded(name.length) + padded(desc.length));
	for (const [i, word] of [name.length, desc.length, type].entries()) out.writeUInt32LE(word, 4 * i);
	name.copy(out, 12);
	desc.copy(out, 12 + padded(name.length));
	return out;
}

const padded = (size: number): number => (size + 3) & ~3;

/** Where the program headers are in the file. */
const headersOf = (core: Buffer): number[] =>
	Array.from({ length: core.readUInt16LE(56) }, (_, i) => Number(core.readBigUInt64LE(32)) + 56 * i);

function headerOfNotes(core: Buffer): number {
	const found = headersOf(core).find((at) => core.readUInt32LE(at) === PT_NOTE);
	if (found === undefined) throw new Error("a core without notes");
	return found;
}
