import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Address, address, fileOffset } from "../../src/bytes/address.ts";
import type { LayoutMapping } from "../../src/forest/partial-task.ts";
import { type AddressLayout, rebase } from "../../src/understand/donor/rebase.ts";

// A layout is drawn once and laid out twice at different bases, as ASLR does; the test knows where everything went.

interface Piece {
	readonly pages: number;
	readonly prot: number;
}

interface Plan {
	readonly modules: readonly (readonly Piece[])[];
	readonly bss: readonly number[];
	readonly heapPages: number;
	readonly stackPages: number;
}

const PAGE = 4096n;
const piece = fc.record({ pages: fc.integer({ min: 1, max: 40 }), prot: fc.constantFrom(1, 3, 5) });
const plan: fc.Arbitrary<Plan> = fc.record({
	modules: fc.array(fc.array(piece, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 }),
	bss: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 6, maxLength: 6 }),
	heapPages: fc.integer({ min: 1, max: 300 }),
	stackPages: fc.integer({ min: 3, max: 60 }),
});
const gaps = fc.array(fc.bigInt({ min: 1n, max: 1n << 24n }), { minLength: 10, maxLength: 10 });
const into = fc.double({ min: 0, max: 0.999999, noNaN: true });

/** Lays a plan out; parts keep their order of declaration, so that part i is the same thing in every layout. */
function layOut(
	{ modules, bss, heapPages, stackPages }: Plan,
	spaces: readonly bigint[],
	argc: bigint,
): { geography: AddressLayout; parts: LayoutMapping[] } {
	const parts: LayoutMapping[] = [];
	let at = 0x10000n * PAGE;
	let gap = 0;
	const skip = (): void => {
		at += (spaces[gap++ % spaces.length] ?? 1n) * PAGE;
	};
	const put = (pages: number, prot: number, file?: LayoutMapping["file"]): LayoutMapping => {
		const place = {
			start: address(at),
			end: address(at + BigInt(pages) * PAGE),
			prot,
			...(file === undefined ? {} : { file }),
		};
		parts.push(place);
		at = place.end;
		return place;
	};
	for (const [i, pieces] of modules.entries()) {
		skip();
		let offset = 0n;
		for (const { pages, prot } of pieces) {
			put(pages, prot, { path: `/lib/m${i}.so`, offset: fileOffset(offset) });
			offset += BigInt(pages) * PAGE;
		}
		if ((bss[i] ?? 0) > 0) put(bss[i] ?? 0, 3);
	}
	skip();
	const heap = put(heapPages, 3);
	skip();
	const stack = put(stackPages, 3);
	return { geography: { mappings: parts, heap, startStack: address(stack.end - argc) }, parts };
}

describe("rebase", () => {
	it("carries every address of files, .bss, heap to the same byte of the same thing", () => {
		fc.assert(
			fc.property(plan, gaps, gaps, fc.nat(), into, (drawn, here, there, pick, part) => {
				const donor = layOut(drawn, here, 512n);
				const dead = layOut(drawn, there, 1536n);
				const index = pick % (donor.parts.length - 1);
				const from = donor.parts[index];
				const to = dead.parts[index];
				if (from === undefined || to === undefined) throw new Error("no part");
				const offset = BigInt(Math.floor(part * Number(from.end - from.start)));
				const carried = rebase(donor.geography, dead.geography).address(address(from.start + offset));
				expect(carried?.address).toBe(to.start + offset);
			}),
		);
	});

	it("carries stack addresses by their distance from argc, within the stack", () => {
		fc.assert(
			fc.property(plan, gaps, gaps, into, (drawn, here, there, part) => {
				const donor = layOut(drawn, here, 512n);
				const dead = layOut(drawn, there, 1536n);
				const from = donor.parts.at(-1);
				const to = dead.parts.at(-1);
				if (from === undefined || to === undefined) throw new Error("no part");
				const at = address(from.start + BigInt(Math.floor(part * Number(from.end - from.start))));
				const carried = rebase(donor.geography, dead.geography).address(at);
				const expected = Number(to.end) - 1536 + Number(at - (from.end - 512n));
				if (carried === undefined) expect(expected < Number(to.start) || expected >= Number(to.end)).toBe(true);
				else expect(carried).toEqual({ address: BigInt(expected), by: "stack" });
			}),
		);
	});

	it("gives nothing for stack beyond the dead one's, though an anonymous mapping of the same shape lies at a module's distance", () => {
		const drawn = {
			modules: [[{ pages: 1, prot: 1 }]],
			bss: [0, 0, 0, 0, 0, 0],
			heapPages: 1,
			stackPages: 3,
		};
		const spaces = [1n, 1n, 1n, 1n, 1n, 1n, 1n, 1n, 1n, 1n];
		const donor = layOut(drawn, spaces, 512n);
		const dead = layOut(drawn, spaces, 1536n);
		const from = donor.parts.at(-1);
		if (from === undefined) throw new Error("no part");
		const moved = rebase(donor.geography, dead.geography);
		expect(moved.address(from.start)).toBeUndefined();
		expect(moved.address(address(from.start + 1024n))).toEqual({ address: from.start, by: "stack" });
	});

	it("gives nothing for an address that the donor has not mapped, and never leaves the dead process's mappings", () => {
		fc.assert(
			fc.property(plan, plan, gaps, gaps, fc.bigInt({ min: 0n, max: 1n << 48n }), (one, other, here, there, at) => {
				const donor = layOut(one, here, 512n);
				const dead = layOut(other, there, 512n);
				const holder = donor.parts.find(({ start, end }) => start <= at && at < end);
				const carried = rebase(donor.geography, dead.geography).address(at as Address);
				if (holder === undefined) expect(carried).toBeUndefined();
				if (carried === undefined) return;
				const target = dead.parts.find(({ start, end }) => start <= carried.address && carried.address < end);
				expect(target?.file?.path).toBe(holder?.file?.path);
			}),
		);
	});

	it("is the identity when both layouts are one", () => {
		fc.assert(
			fc.property(plan, gaps, fc.nat(), (drawn, here, pick) => {
				const { geography, parts } = layOut(drawn, here, 512n);
				const part = parts[pick % parts.length];
				if (part === undefined) throw new Error("no part");
				const moved = rebase(geography, geography);
				expect(moved.address(part.start)?.address).toBe(part.start);
				expect(moved.inThread(part.start, { donor: part.start, dead: part.start })?.address).toBe(part.start);
			}),
		);
	});
});

describe("rebase of a thread's addresses", () => {
	const anonymous = (start: bigint, pages: bigint): LayoutMapping => ({
		start: address(start),
		end: address(start + pages * PAGE),
		prot: 3,
	});

	it("goes by fs_base within the control block's mapping", () => {
		const donor = { mappings: [anonymous(0x7f0000000000n, 16n)] };
		const dead = { mappings: [anonymous(0x7e0000005000n, 16n)] };
		const moved = rebase(donor, dead);
		const pointers = { donor: address(0x7f0000008740n), dead: address(0x7e000000a740n) };
		expect(moved.inThread(address(0x7f0000008a10n), pointers)).toEqual({ address: 0x7e000000aa10n, by: "thread" });
	});

	it("goes by the module where musl clears a lock of its own", () => {
		const libc = (start: bigint): LayoutMapping => ({
			...anonymous(start, 2n),
			file: { path: "/lib/ld-musl-x86_64.so.1", offset: fileOffset(0) },
		});
		const donor = { mappings: [anonymous(0x7f0000000000n, 4n), libc(0x7f1000000000n)] };
		const dead = { mappings: [anonymous(0x7e0000000000n, 4n), libc(0x7e2000000000n)] };
		const moved = rebase(donor, dead);
		const pointers = { donor: address(0x7f0000001000n), dead: address(0x7e0000001000n) };
		expect(moved.inThread(address(0x7f1000001048n), pointers)).toEqual({ address: 0x7e2000001048n, by: "file" });
	});

	it("finds a mapped signal stack by the shape of its mapping, and not where that differs", () => {
		const donor = { mappings: [anonymous(0x7f0000000000n, 3n), anonymous(0x7f0000010000n, 8n)] };
		const moved = (pages: bigint) =>
			rebase(donor, { mappings: [anonymous(0x7e0000000000n, pages), anonymous(0x7e0000010000n, 8n)] });
		const pointers = { donor: address(0x7f0000011000n), dead: address(0x7e0000011000n) };
		expect(moved(3n).inThread(address(0x7f0000000000n), pointers)).toEqual({ address: 0x7e0000000000n, by: "shape" });
		expect(moved(4n).inThread(address(0x7f0000000000n), pointers)).toBeUndefined();
	});
});
