// Makes cores to measure with: that of a fixture with more memory than it had, laid out as the kernel does it.
import { randomFillSync } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const fixture = (name) => new URL(`../../fixtures/${name}/`, import.meta.url);

/** The images of another run of the same program. */
export const donorOf = (name) => new URL("images", fixture(name)).pathname;

const PAGE = 4096;
const CHUNK = 4 << 20;
const HEADER = 64;
const ROW = 56;
const PT_LOAD = 1;
const READ_WRITE = 6;

/** Between the program's heap and its libraries, where the fixture has nothing. */
const FREE = 0x6000_0000_0000n;

/** The core of fixtures/counter as it is. */
export const writeSmallCore = (path) => writeCore(path, []);

/** One more mapping of `size` bytes: `random`, `zero` (every hundredth page is random) or `hole` (nothing on the disk). */
export const writeLargeCore = (path, size, content, name) => writeCore(path, [{ start: FREE, size, content }], name);

/** As many more mappings as `count`, each a page that is not zero, none touching the next. */
export const writeManyMappings = (path, count) =>
	writeCore(
		path,
		Array.from({ length: count }, (_, i) => ({
			start: FREE + BigInt(2 * i * PAGE),
			size: PAGE,
			content: "random",
		})),
	);

function writeCore(path, added, name = "counter") {
	const old = gunzipSync(readFileSync(new URL("core.gz", fixture(name))));
	const rows = programHeaders(old);
	const notes = rows.filter(({ type }) => type !== PT_LOAD);
	const loads = [...rows.filter(({ type }) => type === PT_LOAD), ...added.map(asLoad)].sort((a, b) =>
		a.start < b.start ? -1 : 1,
	);
	const fd = openSync(path, "wx", 0o600);
	try {
		const table = Buffer.alloc(HEADER + ROW * rows.length + ROW * added.length);
		old.copy(table, 0, 0, HEADER);
		table.writeUInt16LE(rows.length + added.length, 56);
		let at = table.length;
		let row = HEADER;
		for (const segment of [...notes, ...loads]) {
			if (segment.type === PT_LOAD) at = Math.ceil(at / PAGE) * PAGE;
			segment.header.copy(table, row);
			table.writeBigUInt64LE(BigInt(at), row + 8);
			row += ROW;
			writeContent(fd, segment, old, at);
			at += segment.size;
		}
		writeSync(fd, table, 0, table.length, 0);
		ftruncateSync(fd, at);
	} finally {
		closeSync(fd);
	}
}

const programHeaders = (core) =>
	Array.from({ length: core.readUInt16LE(56) }, (_, i) => {
		const at = Number(core.readBigUInt64LE(32)) + ROW * i;
		const header = core.subarray(at, at + ROW);
		return {
			header,
			type: header.readUInt32LE(0),
			offset: Number(header.readBigUInt64LE(8)),
			start: header.readBigUInt64LE(16),
			size: Number(header.readBigUInt64LE(32)),
		};
	});

function asLoad({ start, size, content }) {
	const header = Buffer.alloc(ROW);
	header.writeUInt32LE(PT_LOAD, 0);
	header.writeUInt32LE(READ_WRITE, 4);
	header.writeBigUInt64LE(start, 16);
	header.writeBigUInt64LE(BigInt(size), 32);
	header.writeBigUInt64LE(BigInt(size), 40);
	header.writeBigUInt64LE(BigInt(PAGE), 48);
	return { header, type: PT_LOAD, start, size, content };
}

function writeContent(fd, { content, offset, size }, old, at) {
	if (content === "hole") return;
	if (content === undefined) {
		writeSync(fd, old, offset, size, at);
		return;
	}
	const chunk = Buffer.alloc(Math.min(CHUNK, size));
	for (let done = 0; done < size; done += chunk.length) {
		if (content === "random") randomFillSync(chunk);
		else for (let page = 0; page < chunk.length; page += 100 * PAGE) randomFillSync(chunk, page, PAGE);
		writeSync(fd, chunk, 0, Math.min(chunk.length, size - done), at + done);
	}
}
