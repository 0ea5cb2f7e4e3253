import { expect, it } from "vitest";
import type { UserRegs } from "../../../../src/arch/x86-64/registers.ts";
import { address, fileOffset } from "../../../../src/bytes/address.ts";
import { extent, place } from "../../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import type { Finding } from "../../../../src/finding.ts";
import type { PartialTask } from "../../../../src/forest/partial-task.ts";
import type { Mapping } from "../../../../src/forest/task.ts";
import { withMovedWords } from "../../../../src/understand/donor/epoll-words.ts";
import { rebase } from "../../../../src/understand/donor/rebase.ts";
import { map, smallTask } from "../../../support/builders/small-task.ts";

// A program of a page of code, one of .data and .bss, and a heap of two pages; each process has it elsewhere.

const P = 0x1000n;
const DONOR = { code: 0x5555_0000_0000n, heap: 0x5555_1000_0000n, libs: 0x7fff_0000_0000n };
const DEAD = { code: 0x5633_0000_0000n, heap: 0x5633_4000_0000n, libs: 0x7ffa_0000_0000n };
type Layout = typeof DONOR;

const PATH = "/bin/small";
const file = (offset: number): Mapping["backing"] => ({
	kind: "file",
	path: PATH,
	offset: fileOffset(offset),
	writable: false,
});

/** Words, by their offset from the start of .data and of the heap. */
interface Bytes {
	readonly data?: Readonly<Record<number, bigint>>;
	readonly heap?: Readonly<Record<number, bigint>>;
}

const mappingsOf = ({ code, heap, libs }: Layout): Mapping[] => [
	map(code, 1, file(0), { prot: 5 }),
	map(code + P, 1, file(0x1000)),
	map(code + 2n * P, 1, { kind: "anonymous" }),
	map(heap, 2, { kind: "anonymous", role: "heap" }),
	map(libs, 1, { kind: "anonymous" }),
];

function pages({ code, heap, libs }: Layout, { data = {}, heap: onHeap = {} }: Bytes) {
	const at = (start: bigint, words: Readonly<Record<number, bigint>>) => {
		const bytes = Buffer.alloc(0x2000);
		for (const [offset, word] of Object.entries(words)) bytes.writeBigUInt64LE(word, Number(offset));
		return place(address(start), extent(fromBuffer("bytes", bytes), 0n, 0x2000n));
	};
	return [
		at(code + P, data),
		at(heap, onHeap),
		place(address(libs), extent(fromBuffer("bytes", Buffer.alloc(0x1000)), 0n, P)),
	];
}

/** How often the dead process's heap was looked through. */
let searches = 0;

/** `data` of what the donor's epoll instance 4 watches, by number; the dead process sleeps in it. */
function move(
	words: Readonly<Record<number, bigint>>,
	theirs: Bytes,
	own: Bytes,
	options: { reported?: readonly bigint[]; numbers?: ReadonlyMap<number, number> } = {},
) {
	const targets = Object.entries(words).map(([number, data]) => ({ number: Number(number), events: 1, data }));
	const open = { kind: "epoll", id: 1, flags: 2, targets } as const;
	const donor = smallTask({
		memory: { mappings: mappingsOf(DONOR), contents: pages(DONOR, theirs), executable: PATH },
		files: { descriptors: [{ number: 4, closeOnExec: false, description: open }] },
	});
	const contents = pages(DEAD, own);
	const events = Buffer.concat(
		[...(options.reported ?? []), 0n].map((data, i, all) => {
			const event = Buffer.alloc(12);
			event.writeUInt32LE(i + 1 === all.length ? 0 : 1);
			event.writeBigUInt64LE(data, 4);
			return event;
		}),
	);
	events.copy(contents[2]?.source.read(fileOffset(0), 0x1000) ?? Buffer.alloc(0), 0);
	const mappings = mappingsOf(DEAD).map(({ backing, ...mapping }) => ({
		...mapping,
		held: mapping.end - mapping.start,
		...(backing.kind === "file" ? { file: { path: PATH, offset: backing.offset, deleted: false } } : {}),
	}));
	const registers = { ax: -4n & 0xffff_ffff_ffff_ffffn, orig_ax: 232n, di: 4n, si: DEAD.libs, dx: 64n, r10: 0n };
	const dead = {
		threads: [{ tid: 7, registers: registers as UserRegs, pending: 0n }],
		memory: {
			mappings,
			read: (at: bigint, length: number) => {
				const one = contents.find(({ start, length: bytes }) => start <= at && at < start + bytes);
				if (at === DEAD.heap && length === 0x2000) searches++;
				if (one?.start === address(DEAD.libs))
					return Buffer.concat([events, Buffer.alloc(0x1000)])
						.subarray(Number(at - DEAD.libs))
						.subarray(0, length);
				return one?.source.read(fileOffset(at - one.start), length);
			},
		},
	} as unknown as PartialTask;
	const moved = rebase(
		{
			mappings: mappingsOf(DONOR).map(({ backing, ...it }) => ({
				...it,
				...(backing.kind === "file" ? { file: backing } : {}),
			})),
			heap: { start: address(DONOR.heap), end: address(DONOR.heap + 2n * P) },
		},
		{ mappings, heap: { start: address(DEAD.heap), end: address(DEAD.heap + 2n * P) } },
	);
	const findings: Finding[] = [];
	const calls = [{ tid: 7, call: "epoll_wait", registers: registers as UserRegs }];
	const places = { dead, calls, donor, moved, numbers: options.numbers ?? new Map() };
	const files = withMovedWords(donor.files, places, (finding) => findings.push(finding));
	const [descriptor] = files.descriptors;
	const watched = descriptor?.description.kind === "epoll" ? descriptor.description.targets : [];
	return {
		data: Object.fromEntries(watched.map(({ number, data }) => [number, data])),
		findings: findings.map(({ weight, subject, text }) => `${weight} ${subject}: ${text}`),
	};
}

it("leaves a number as it is", () => {
	expect(move({ 3: 3n, 5: 0x7777_0000_0005n, 6: 0n }, {}, {})).toEqual({
		data: { 3: 3n, 5: 0x7777_0000_0005n, 6: 0n },
		findings: [],
	});
});

it("moves the address of static data, and says whether what lies there looks alike", () => {
	const theirs = { data: { 64: 3n, 72: DONOR.code + 0x10n } };
	const own = { data: { 64: 3n, 72: DEAD.code + 0x10n } };
	const word = { 3: DONOR.code + P + 0x40n };
	expect(move(word, theirs, own)).toEqual({
		data: { 3: DEAD.code + P + 0x40n },
		findings: [
			"note epoll descriptor 4: watches 3 with addresses, moved to this layout; what they lead to looks as in the donor",
		],
	});
	expect(move(word, theirs, {}).findings).toEqual([
		"caution epoll descriptor 4: watches 3 with addresses, moved to this layout; nothing confirms what they lead to",
	]);
	// .bss
	expect(move({ 3: DONOR.code + 2n * P + 8n }, {}, {}).data).toEqual({ 3: DEAD.code + 2n * P + 8n });
});

/** An object as nginx has them: its event, which points back and has a handler, and its descriptor. */
const connection = (
	{ code, heap }: Layout,
	at: number,
	number: number,
	event = 0x800 + at,
): Record<number, bigint> => ({
	[at]: heap + BigInt(event),
	[at + 8]: BigInt(number),
	[event]: heap + BigInt(at),
	[event + 8]: code + 0x20n,
});

it("moves the address of an object on the heap, and the flag in its lowest bit", () => {
	const word = { 3: DONOR.heap + 0x101n };
	expect(move(word, { heap: connection(DONOR, 0x100, 3) }, { heap: connection(DEAD, 0x100, 3) })).toEqual({
		data: { 3: DEAD.heap + 0x101n },
		findings: [
			"note epoll descriptor 4: watches 3 with addresses, moved to this layout; what they lead to looks as in the donor",
		],
	});
});

it("finds an object that lies elsewhere on the heap", () => {
	const word = { 3: DONOR.heap + 0x101n };
	const theirs = { heap: connection(DONOR, 0x100, 3) };
	expect(move(word, theirs, { heap: connection(DEAD, 0x340, 3) })).toEqual({
		data: { 3: DEAD.heap + 0x341n },
		findings: [
			"note epoll descriptor 4: watches 3 with addresses, which were found in the core by what they lead to in the donor",
		],
	});
	const two = { heap: { ...connection(DEAD, 0x340, 3), ...connection(DEAD, 0x440, 3) } };
	expect(move(word, theirs, two)).toEqual({
		data: {},
		findings: [
			"loss epoll descriptor 4: no longer watches 3: the donor watched it with the address 0x555510000100, and 2 places in the core look like what lies there",
		],
	});
	// of which epoll has reported one; the flag is the core's too
	expect(move(word, theirs, two, { reported: [DEAD.heap + 0x440n] }).data).toEqual({ 3: DEAD.heap + 0x440n });
});

it("watches nothing with the address of another object", () => {
	const word = { 3: DONOR.heap + 0x100n };
	const theirs = { heap: connection(DONOR, 0x100, 3) };
	expect(move(word, theirs, { heap: { 256: 77n, 264: 9n } })).toEqual({
		data: {},
		findings: [
			"loss epoll descriptor 4: no longer watches 3: the donor watched it with the address 0x555510000100, and at 0x563340000100, its place in the core, lies something else",
		],
	});
	expect(move({ 3: DONOR.heap + 0x100n }, {}, {}).findings).toEqual([
		"caution epoll descriptor 4: watches 3 with addresses, moved to this layout; nothing confirms what they lead to",
	]);
});

it("believes the core, which has the events that were reported last", () => {
	expect(move({ 3: DONOR.heap + 0x100n }, {}, {}, { reported: [DEAD.heap + 0x100n] })).toEqual({
		data: { 3: DEAD.heap + 0x100n },
		findings: [
			"note epoll descriptor 4: watches 3 with addresses, moved to this layout; what they lead to looks as in the donor",
		],
	});
});

it("knows an address among the bits that Go puts around it", () => {
	const tagged = (at: bigint): bigint => ((at >> 3n) << 19n) | 5n;
	expect(move({ 3: tagged(DONOR.code + P + 0x40n) }, { data: { 64: 3n } }, { data: { 64: 3n } }).data).toEqual({
		3: tagged(DEAD.code + P + 0x40n),
	});
});

it("renumbers what is watched, and the numbers among the words", () => {
	const numbers = new Map([
		[3, 5],
		[5, 3],
	]);
	const theirs = { data: { 64: 5n, 72: DONOR.code + 0x10n } };
	const own = { data: { 64: 3n, 72: DEAD.code + 0x10n } };
	expect(move({ 3: 3n, 5: DONOR.code + P + 0x40n }, theirs, own, { numbers })).toEqual({
		data: { 5: 5n, 3: DEAD.code + P + 0x40n },
		findings: [
			"note epoll descriptor 4: watches 3 with addresses, moved to this layout; what they lead to looks as in the donor",
		],
	});
});

it("looks through the memory once, however many are watched", () => {
	const watched = Array.from({ length: 20 }, (_, i) => 10 + i);
	const objects = (layout: Layout, first: number) =>
		Object.assign(
			{},
			...watched.map((number, i) => connection(layout, first + i * 32, number, 0xc00 + first + i * 32)),
		);
	const words = Object.fromEntries(watched.map((number, i) => [number, DONOR.heap + 0x100n + BigInt(i) * 32n]));
	searches = 0;
	expect(move(words, { heap: objects(DONOR, 0x100) }, { heap: objects(DEAD, 0x390) }).data).toEqual(
		Object.fromEntries(watched.map((number, i) => [number, DEAD.heap + 0x390n + BigInt(i) * 32n])),
	);
	expect(searches).toBe(1);
});
