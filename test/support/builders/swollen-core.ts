/**
 * Cores that say the same thing very often: what an attacker can put into 64 MiB. Made by copying one record, so that a
 * million of them takes a moment; nothing here comes from src/.
 */
export interface SwollenCore {
	/** NT_PRSTATUS notes, thread ids from 1000 on. Default 1. */
	readonly threads?: number;
	/** NT_FPREGSET behind each. */
	readonly fx?: boolean;
	/** PT_LOAD headers, one page each, a page between two. Default 1. */
	readonly loads?: number;
	/** Bytes of the file that each of them claims to hold, all the same ones. Default 0. */
	readonly overlap?: number;
	/** Rows of NT_FILE, each for one of the loads. Default 1: the executable's. */
	readonly files?: number;
	/** Characters of each row's path. */
	readonly pathLength?: number;
	/** Notes of a kind that nobody knows, without content. */
	readonly others?: number;
	/** Entries of the auxiliary vector besides the needed ones. */
	readonly auxv?: number;
}

/** Where the first load lies. */
const FIRST = 0x10_0000n;
const STEP = 0x2000n;

export function swollenCore(shape: SwollenCore): Buffer {
	const { threads = 1, loads = 1, files = 1, others = 0, overlap = 0 } = shape;
	const noteBytes = Buffer.concat([
		note("CORE", 1, status(1000, 11)),
		note("CORE", 3, processInfo(1000)),
		note("CORE", 6, auxiliaryVector(shape.auxv ?? 0)),
		note("CORE", 0x46494c45, fileRows(files, shape.pathLength ?? 8)),
		...(shape.fx === true ? [note("CORE", 2, Buffer.alloc(512))] : []),
		repeated(
			Buffer.concat([
				note("CORE", 1, status(0, 11)),
				...(shape.fx === true ? [note("CORE", 2, Buffer.alloc(512, 0xff))] : []),
			]),
			threads - 1,
			(record, i) => record.writeInt32LE(1001 + i, 20 + 32),
		),
		repeated(note("ODD", 77, Buffer.alloc(0)), others, () => {}),
	]);
	const count = loads + 1;
	const xnum = count >= 0xffff;
	const headersEnd = 64 + 56 * count;
	const memoryAt = Math.ceil((headersEnd + noteBytes.length) / 4096) * 4096;
	const sectionAt = memoryAt + overlap;
	const out = Buffer.alloc(sectionAt + (xnum ? 64 : 0));
	out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	out.writeUInt16LE(4, 16);
	out.writeUInt16LE(62, 18);
	out.writeUInt32LE(1, 20);
	out.writeBigUInt64LE(64n, 32);
	out.writeBigUInt64LE(xnum ? BigInt(sectionAt) : 0n, 40);
	out.writeUInt16LE(64, 52);
	out.writeUInt16LE(56, 54);
	out.writeUInt16LE(xnum ? 0xffff : count, 56);
	if (xnum) out.writeUInt32LE(count, sectionAt + 44);
	out.writeUInt32LE(4, 64);
	out.writeBigUInt64LE(BigInt(headersEnd), 64 + 8);
	out.writeBigUInt64LE(BigInt(noteBytes.length), 64 + 32);
	const load = Buffer.alloc(56);
	load.writeUInt32LE(1, 0);
	load.writeUInt32LE(6, 4);
	load.writeBigUInt64LE(BigInt(memoryAt), 8);
	load.writeBigUInt64LE(BigInt(overlap), 32);
	load.writeBigUInt64LE(4096n, 40);
	repeated(load, loads, (record, i) => record.writeBigUInt64LE(FIRST + STEP * BigInt(i), 16)).copy(out, 120);
	noteBytes.copy(out, headersEnd);
	return out;
}

function repeated(record: Buffer, count: number, change: (record: Buffer, i: number) => void): Buffer {
	const out = Buffer.alloc(record.length * count, record.length > 0 ? record : 0);
	for (let i = 0; i < count; i++) change(out.subarray(i * record.length, (i + 1) * record.length), i);
	return out;
}

function status(tid: number, signal: number): Buffer {
	const raw = Buffer.alloc(336);
	raw.writeInt32LE(signal, 0);
	raw.writeInt16LE(signal, 12);
	raw.writeInt32LE(tid, 32);
	for (let i = 0; i < 27; i++) raw.writeBigUInt64LE(0x7fff_0000_0000_0000n + BigInt(i), 112 + 8 * i);
	return raw;
}

function processInfo(pid: number): Buffer {
	const raw = Buffer.alloc(136);
	raw.writeInt32LE(pid, 24);
	raw.write("swollen", 40, "latin1");
	return raw;
}

function auxiliaryVector(more: number): Buffer {
	const raw = Buffer.alloc(16 * (more + 3));
	// AT_PHDR, AT_ENTRY inside the first load; AT_NULL ends it
	for (const [i, [type, value]] of [[3n, FIRST + 64n] as const, [9n, FIRST + 128n] as const].entries()) {
		raw.writeBigUInt64LE(type, 16 * i);
		raw.writeBigUInt64LE(value, 16 * i + 8);
	}
	for (let i = 2; i < more + 2; i++) raw.writeBigUInt64LE(77n, 16 * i);
	return raw;
}

function fileRows(count: number, pathLength: number): Buffer {
	const rows = Buffer.alloc(16 + 24 * count);
	rows.writeBigUInt64LE(BigInt(count), 0);
	rows.writeBigUInt64LE(4096n, 8);
	const names = Buffer.alloc(count * (pathLength + 1), "a");
	for (let i = 0; i < count; i++) {
		const start = FIRST + STEP * BigInt(i);
		rows.writeBigUInt64LE(start, 16 + 24 * i);
		rows.writeBigUInt64LE(start + 4096n, 24 + 24 * i);
		names.write(`/${i.toString(36)}`, i * (pathLength + 1));
		names[(i + 1) * (pathLength + 1) - 1] = 0;
	}
	return Buffer.concat([rows, names]);
}

function note(owner: string, type: number, desc: Buffer): Buffer {
	const name = Buffer.alloc(Math.ceil((owner.length + 1) / 4) * 4);
	name.write(owner);
	const head = Buffer.alloc(12);
	head.writeUInt32LE(owner.length + 1, 0);
	head.writeUInt32LE(desc.length, 4);
	head.writeUInt32LE(type, 8);
	return Buffer.concat([head, name, desc, Buffer.alloc((4 - (desc.length % 4)) % 4)]);
}
