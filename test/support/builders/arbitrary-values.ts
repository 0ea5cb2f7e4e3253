import fc from "fast-check";
import { address } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { textFromBytes } from "../../../src/bytes/text.ts";

/* What arbitrary processes are made of. */

export const PAGE = 4096;
const bits = (count: bigint): fc.Arbitrary<bigint> =>
	fc.oneof(
		fc.constantFrom(0n, 1n, (1n << count) - 1n, 1n << (count - 1n)),
		fc.bigInt({ min: 0n, max: (1n << count) - 1n }),
	);
export const u64 = bits(64n);
export const u32 = bits(32n).map(Number);
export const place = u64.map(address);
export const id = fc.integer({ min: 1, max: 0x7fff_ffff });
/** Names are bytes; some are no UTF-8. */
export const name = fc.oneof(
	fc.stringMatching(/^[ -~é€😀]{1,4}$/u),
	fc.constant(textFromBytes(Buffer.from([0x61, 0xff]))),
);
export const path = name.map((it) => `/${it}`);
export const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

export type Said<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
	[K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The keys whose values are there. */
export const said = <T extends object>(object: T): Said<T> =>
	Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Said<T>;

export const nanoseconds = fc.bigInt({ min: 0n, max: 1n << 90n });
export const looks = fc
	.record({ size: optional(u64), mode: optional(u32), buildId: optional(fc.constantFrom("0123abcd", "00".repeat(20))) })
	.map(said);
/** Bytes to be anywhere: in pages, in pipes, in objects. Some pages are zeros. */
const stored = Buffer.from(
	Array.from({ length: 24 * PAGE }, (_, i) => ((i >> 12) % 5 === 2 ? 0 : (i * 31 + (i >> 8)) & 255)),
);
export const source = fromBuffer("stored", stored);
