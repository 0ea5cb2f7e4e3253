/**
 * Takes ELF cores apart by hand, as the independent witness of what was made of them: nothing here comes from src/. It trusts
 * its input. Offsets are from elf(5) and include/linux/elfcore.h.
 */

export interface RawNote {
	readonly owner: string;
	readonly type: number;
	readonly desc: Buffer;
}

export interface RawLoad {
	readonly start: bigint;
	readonly end: bigint;
	/** PF_ bits: 4 read, 2 write, 1 execute. */
	readonly flags: number;
	/** What the core holds of it, from its start. */
	readonly bytes: Buffer;
}

export interface RawThread {
	readonly tid: number;
	/** 27 words in `user_regs_struct` order. */
	readonly registers: readonly bigint[];
	readonly blocked: bigint;
	/** The NT_X86_XSTATE area. */
	readonly xstate: Buffer;
}

export interface RawCore {
	/** In file order. */
	readonly notes: readonly RawNote[];
	readonly loads: readonly RawLoad[];
	/** In file order: the one that died first. */
	readonly threads: readonly RawThread[];
	/** pr_pid and pr_fname of NT_PRPSINFO. */
	readonly pid: number;
	readonly name: string;
	readonly auxv: ReadonlyMap<number, bigint>;
	/** XSAVE component → its offset, from NT_X86_XSAVE_LAYOUT; Intel's where a core has none. */
	readonly offsets: ReadonlyMap<number, number>;
}

const [PT_LOAD, PT_NOTE] = [1, 4];
const [NT_PRSTATUS, NT_PRPSINFO, NT_AUXV, NT_XSTATE, NT_XSAVE_LAYOUT] = [1, 3, 6, 0x202, 0x205];

export function readRawCore(core: Buffer): RawCore {
	const phoff = Number(core.readBigUInt64LE(32));
	const headers = Array.from({ length: core.readUInt16LE(56) }, (_, i) => {
		const at = phoff + i * 56;
		const offset = Number(core.readBigUInt64LE(at + 8));
		const start = core.readBigUInt64LE(at + 16);
		return {
			type: core.readUInt32LE(at),
			flags: core.readUInt32LE(at + 4),
			bytes: core.subarray(offset, offset + Number(core.readBigUInt64LE(at + 32))),
			start,
			end: start + core.readBigUInt64LE(at + 40),
		};
	});
	const notes = headers.filter(({ type }) => type === PT_NOTE).flatMap(({ bytes }) => notesIn(bytes));
	const one = (type: number): Buffer | undefined => notes.find((note) => note.type === type)?.desc;
	const info = one(NT_PRPSINFO) ?? Buffer.alloc(136);
	const pairs = wordsOf(one(NT_AUXV) ?? Buffer.alloc(0));
	const layout = one(NT_XSAVE_LAYOUT);
	return {
		notes,
		loads: headers.filter(({ type }) => type === PT_LOAD),
		threads: threadsIn(notes),
		pid: info.readInt32LE(24),
		name: info.toString("latin1", 40, 56).replace(/\0.*$/s, ""),
		auxv: new Map(pairs.flatMap((type, i) => (i % 2 === 0 ? [[Number(type), pairs[i + 1] ?? 0n] as const] : []))),
		offsets: layout === undefined ? intel : offsetsIn(layout),
	};
}

/** AVX and PKRU where Intel's processors, and gdb's cores, have them. */
const intel = new Map([
	[2, 576],
	[9, 2688],
]);

const offsetsIn = (layout: Buffer): Map<number, number> =>
	new Map(
		Array.from({ length: layout.length / 16 }, (_, i) => [
			layout.readUInt32LE(16 * i),
			layout.readUInt32LE(16 * i + 8),
		]),
	);

export const wordsOf = (bytes: Buffer): bigint[] =>
	Array.from({ length: bytes.length >> 3 }, (_, i) => bytes.readBigUInt64LE(8 * i));

function notesIn(bytes: Buffer): RawNote[] {
	const notes: RawNote[] = [];
	for (let at = 0; at + 12 <= bytes.length; ) {
		const [namesz, descsz] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
		const desc = at + 12 + ((namesz + 3) & ~3);
		notes.push({
			owner: bytes.toString("latin1", at + 12, at + 12 + namesz - 1),
			type: bytes.readUInt32LE(at + 8),
			desc: bytes.subarray(desc, desc + descsz),
		});
		at = desc + ((descsz + 3) & ~3);
	}
	return notes;
}

/** Each thread begins with its NT_PRSTATUS. */
const threadsIn = (notes: readonly RawNote[]): RawThread[] =>
	notes.flatMap(({ type, desc }, i) => {
		if (type !== NT_PRSTATUS) return [];
		const xstate = notes.slice(i).find((note) => note.type === NT_XSTATE)?.desc ?? Buffer.alloc(0);
		return {
			tid: desc.readInt32LE(32),
			blocked: desc.readBigUInt64LE(24),
			registers: wordsOf(desc.subarray(112, 112 + 27 * 8)),
			xstate,
		};
	});
