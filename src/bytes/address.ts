/**
 * Addresses and file offsets are bigints with a brand, so that the two cannot be mistaken for each other and neither
 * loses bits above 2^53. Lengths of memory are plain bigints, counts are numbers.
 */
declare const brand: unique symbol;

/** A virtual address, 0 … 2^64-1. */
export type Address = bigint & { readonly [brand]: "address" };

/** A byte offset into a file or object, 0 … 2^64-1. */
export type FileOffset = bigint & { readonly [brand]: "offset" };

/** Bytes in a page. x86-64 has no other base page size. */
export const PAGE_SIZE = 4096n;

/** The first address user space cannot map with 4-level paging (`TASK_SIZE_MAX`, arch/x86/include/asm/page_64.h). */
export const TASK_SIZE = 0x7fff_ffff_f000n as Address;

export const address = (value: bigint): Address => BigInt.asUintN(64, value) as Address;

export const fileOffset = (value: bigint | number): FileOffset => BigInt.asUintN(64, BigInt(value)) as FileOffset;

/** The address, or the offset, `bytes` above (or below, when negative) `base`, modulo 2^64. */
export const plus = <At extends Address | FileOffset>(base: At, bytes: bigint): At =>
	BigInt.asUintN(64, base + bytes) as At;

/** `value` as lower-case hexadecimal with `0x`, no padding: the one spelling in messages and JSON. */
export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** Of an address, an offset or a length; modulo 2^64. */
export const pageFloor = <Place extends bigint>(value: Place): Place => (value & ~(PAGE_SIZE - 1n)) as Place;

export const pageCeil = <Place extends bigint>(value: Place): Place =>
	BigInt.asUintN(64, (value + PAGE_SIZE - 1n) & ~(PAGE_SIZE - 1n)) as Place;

/** A length in whole pages of `page` bytes; not modulo anything. */
export const pagesUp = (length: bigint, page: bigint = PAGE_SIZE): bigint => ((length + page - 1n) / page) * page;

/** Whether an address is one at all, with 47 bits for each half. */
export const isCanonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

export const isPageAligned = (value: bigint): boolean => (value & (PAGE_SIZE - 1n)) === 0n;
