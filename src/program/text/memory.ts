import { iovec } from "../../linux/io.ts";
import {
	MADV,
	MAP_HUGE_MASK,
	MAP_HUGE_SHIFT,
	MFD,
	MREMAP,
	mapFlagsText,
	PROT_EXEC,
	PROT_READ,
	PROT_WRITE,
} from "../../linux/mman.ts";
import type { CallName } from "../calls.ts";
import { buffer, count, descriptor, flags, hexadecimal, known, oneOf, pointer, type Spell, text } from "./spell.ts";
import { arrayOf, struct } from "./structs.ts";

const prot = flags({ PROT_READ, PROT_WRITE, PROT_EXEC }, "", "PROT_NONE");
const mapFlags = known((value) => mapFlagsText(Number(value)));
const pieces = (countIndex: number): Spell =>
	arrayOf(iovec.size, struct(iovec, { iov_base: pointer, iov_len: count }), countIndex);

/** Page sizes are told as for mmap(2). */
const memfdFlags = known((value) => {
	const log = (Number(value) >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
	const words = flags(MFD, "MFD_")(value & ~BigInt(MAP_HUGE_MASK << MAP_HUGE_SHIFT) & 0xffff_ffffn, []);
	return log === 0 ? words : `${words}|${log}<<MFD_HUGE_SHIFT`;
});

export const memoryCalls: Partial<Record<CallName, readonly Spell[]>> = {
	brk: [pointer],
	ftruncate: [descriptor, count],
	lseek: [descriptor, count, oneOf({ SEEK_SET: 0, SEEK_CUR: 1, SEEK_END: 2, SEEK_DATA: 3, SEEK_HOLE: 4 })],
	madvise: [pointer, count, oneOf(MADV, "MADV_")],
	memfd_create: [text, memfdFlags],
	mlock: [pointer, count],
	mlock2: [pointer, count, flags({ MLOCK_ONFAULT: 1 })],
	mmap: [pointer, count, prot, mapFlags, descriptor, hexadecimal],
	mprotect: [pointer, count, prot],
	mremap: [pointer, count, count, flags(MREMAP, "MREMAP_"), pointer],
	munmap: [pointer, count],
	pread64: [descriptor, pointer, count, hexadecimal],
	preadv: [descriptor, pieces(2), count, hexadecimal],
	process_vm_writev: [known(String), pieces(2), count, pieces(4), count, count],
	pwrite64: [descriptor, buffer(2), count, hexadecimal],
	shmat: [count, pointer, flags({ SHM_RDONLY: 0o10000, SHM_RND: 0o20000, SHM_REMAP: 0o40000, SHM_EXEC: 0o100000 })],
};

/** Of what these return, an address is the sense. */
export const returnsAddress: ReadonlySet<CallName> = new Set(["mmap", "mremap", "brk", "shmat"]);
