import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { userRegs } from "../../src/arch/x86-64/registers.ts";
import { initialFx } from "../../src/arch/x86-64/xstate.ts";
import { address, fileOffset } from "../../src/bytes/address.ts";
import { createFile } from "../../src/bytes/sink.ts";
import { fromBuffer, openFile } from "../../src/bytes/source.ts";
import { type Core, readCore } from "../../src/core/core.ts";
import { coreMemory } from "../../src/core/memory.ts";
import type { NewCore, NewSegment } from "../../src/core/new-core.ts";
import { writeCore } from "../../src/core/write.ts";
import { scratch } from "../support/scratch.ts";

const page = 0x1000n;
const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const id = fc.integer({ min: 1, max: 0x7fff_ffff });

/** Bytes that all segments take theirs from: of several pages, some zeros, some not. */
const quarry = Buffer.concat([Buffer.alloc(4096), Buffer.alloc(3000, 7), Buffer.alloc(9000), Buffer.alloc(20_000, 9)]);
const source = fromBuffer("quarry", quarry);

const xstates = fc.record({
	components: fc.subarray([
		[2, 256],
		[5, 64],
		[9, 8],
		[19, 128],
	] as [number, number][]),
	fill: fc.integer({ min: 0, max: 255 }),
	mxcsr: fc.nat(0xffff),
});

const threads = fc.record({
	tid: id,
	registers: fc.array(word, { minLength: 27, maxLength: 27 }),
	blocked: word,
	pending: word,
	xstate: xstates,
	shadowStack: fc.option(word, { nil: undefined }),
});

const mappings = fc.record({
	gap: fc.bigInt({ min: 0n, max: 1n << 24n }),
	pages: fc.bigInt({ min: 1n, max: 6n }),
	prot: fc.nat(7),
	held: fc.nat(6),
	/** Pages at which contents begin, and how many bytes each has. */
	contents: fc.array(fc.tuple(fc.nat(5), fc.integer({ min: 1, max: 9000 }), fc.nat(20_000)), { maxLength: 3 }),
	path: fc.option(fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" })),
	deleted: fc.boolean(),
	offset: fc.bigInt({ min: 0n, max: 1n << 30n }),
});

const drafts = fc
	.record({
		threads: fc.uniqueArray(threads, { minLength: 1, maxLength: 5, selector: ({ tid }) => tid }),
		mappings: fc.array(mappings, { maxLength: 8 }),
		auxv: fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), word), { maxLength: 20 }),
		siginfo: fc.option(fc.uint8Array({ minLength: 128, maxLength: 128 }), { nil: undefined }),
		name: fc.string({ maxLength: 15 }).filter((text) => /^[ -~]*$/.test(text)),
		signal: fc.nat(64),
	})
	.map(({ threads, mappings, auxv, siginfo, name, signal }): NewCore => {
		let at = 0x1_0000n;
		const placed = mappings.map((mapping) => {
			const start = at + mapping.gap * page;
			at = start + mapping.pages * page;
			return { ...mapping, start: address(start), end: address(at) };
		});
		return {
			process: {
				...{ pr_state: 0, pr_sname: 82, pr_zomb: 0, pr_nice: 251, pr_flag: 4n, pr_uid: 5, pr_gid: 6 },
				...{ pr_pid: threads[0]?.tid ?? 1, pr_ppid: 7, pr_pgrp: 8, pr_sid: 9, pr_fname: name, pr_psargs: `${name} x ` },
			},
			threads: threads.map(({ tid, registers, blocked, pending, xstate, shadowStack }, i) => ({
				status: {
					...{ si_signo: signal, si_code: 1, si_errno: 0, pr_cursig: signal, pr_sigpend: pending, pr_sighold: blocked },
					...{ pr_pid: tid, pr_ppid: 7, pr_pgrp: 8, pr_sid: 9, pr_fpvalid: 1 },
					...{ pr_utime: time, pr_stime: time, pr_cutime: time, pr_cstime: time },
					pr_reg: userRegs.decode(new Uint8Array(BigUint64Array.from(registers).buffer)),
				},
				fx: Buffer.alloc(512, tid % 256),
				xstate: {
					fx: { ...initialFx, mxcsr: xstate.mxcsr, padding: withXcr0(maskOf(xstate.components)) },
					xcr0: maskOf(xstate.components),
					xstateBv: maskOf(xstate.components),
					components: new Map(
						allComponents.map(([component, size]) => [
							component,
							new Uint8Array(size).fill(xstate.components.some(([own]) => own === component) ? xstate.fill : 0),
						]),
					),
				},
				...(shadowStack !== undefined && { shadowStack }),
				...(i === 0 && siginfo && { siginfo }),
			})),
			auxv: auxv.map(([type, value]) => ({ type, value })),
			files: placed.flatMap(({ start, end, offset, path, deleted }) =>
				path === null || path.includes("\0") ? [] : [{ start, end, offset: fileOffset(offset * page), path, deleted }],
			),
			segments: placed.map(({ start, end, prot, held, contents, pages }): NewSegment => {
				const fileSize = BigInt(held) < pages ? BigInt(held) * page : pages * page;
				return { start, end, prot, fileSize, contents: contentsIn(start, fileSize, contents) };
			}),
		};
	});

const time = { tv_sec: 1n, tv_usec: 2n };
const allComponents: readonly (readonly [number, number])[] = [
	[2, 256],
	[5, 64],
	[9, 8],
	[19, 128],
];
const maskOf = (components: readonly (readonly [number, number])[]): bigint =>
	components.reduce((mask, [component]) => mask | (1n << BigInt(component)), 3n);
const withXcr0 = (mask: bigint): number[] => Array.from({ length: 24 }, (_, i) => (i === 12 ? Number(mask) : 0));

function contentsIn(
	start: bigint,
	fileSize: bigint,
	wanted: readonly (readonly [number, number, number])[],
): NewSegment["contents"] {
	const sorted = [...wanted].sort(([a], [b]) => a - b);
	let free = 0n;
	return sorted.flatMap(([at, bytes, offset]) => {
		const from = BigInt(at) * page;
		const length = BigInt(bytes);
		if (from < free || from + length > fileSize) return [];
		free = from + length;
		const available = length / 2n;
		return [{ start: address(start + from), length, source, offset: fileOffset(offset), available }];
	});
}

/** What a segment is to read as. */
function expected({ start, fileSize, contents }: NewSegment): Buffer {
	const bytes = Buffer.alloc(Number(fileSize));
	for (const content of contents)
		quarry.copy(
			bytes,
			Number(content.start - start),
			Number(content.offset),
			Number(content.offset + (content.available < content.length ? content.available : content.length)),
		);
	return bytes;
}

async function written(draft: NewCore): Promise<{ core: Core; path: string; close(): void }> {
	const path = join(scratch(), "core");
	const sink = createFile(path);
	try {
		await writeCore(draft, sink);
	} finally {
		sink.close();
	}
	const file = openFile(path);
	return { core: readCore(file), path, close: () => file.close() };
}

test("what is written is what is read", async () => {
	await fc.assert(
		fc.asyncProperty(drafts, async (draft) => {
			const { core, close } = await written(draft);
			try {
				expect(core.writer).toBe("kernel");
				expect(core.process).toEqual(draft.process);
				expect(core.threads).toEqual(
					draft.threads.map((thread) => ({ ...thread, fx: new Uint8Array(thread.fx ?? []) })),
				);
				expect(core.siginfo).toEqual(draft.threads[0]?.siginfo);
				expect(core.auxv).toEqual(draft.auxv);
				expect(core.files).toEqual(draft.files);
				expect(core.otherNotes).toEqual([]);
				expect(
					core.segments.map(({ start, end, prot, available }) => ({ start, end, prot, fileSize: available })),
				).toEqual(draft.segments.map(({ start, end, prot, fileSize }) => ({ start, end, prot, fileSize })));
				expect(core.segments.every(({ offset }) => offset % page === 0n)).toBe(true);
				const memory = coreMemory({ ...core, files: [] });
				for (const segment of draft.segments) {
					const bytes = memory.read(segment.start, Number(segment.fileSize));
					expect(bytes && Buffer.compare(bytes, expected(segment))).toBe(0);
				}
			} finally {
				close();
			}
		}),
		{ numRuns: 100 },
	);
});

test("more segments than the header can count", async () => {
	const [thread] = fc.sample(drafts, 1);
	const segments = Array.from({ length: 65_535 }, (_, i): NewSegment => {
		const start = address(0x10_0000n + BigInt(i) * 2n * page);
		return { start, end: address(start + page), prot: 1, fileSize: 0n, contents: [] };
	});
	const draft: NewCore = { ...(thread ?? expect.unreachable()), files: [], segments };
	const { core, path, close } = await written(draft);
	close();
	expect(core.segments.length).toBe(65_535);
	const bytes = readFileSync(path);
	expect(bytes.readUInt16LE(56)).toBe(0xffff);
	expect(bytes.readUInt32LE(Number(bytes.readBigUInt64LE(40)) + 44)).toBe(65_536);
});
