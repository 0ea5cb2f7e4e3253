import { iovec } from "../linux/io.ts";
import {
	MADV,
	MAP,
	MAP_HUGE_MASK,
	MAP_HUGE_SHIFT,
	MFD,
	MREMAP,
	mapFlagsText,
	PROT_EXEC,
	PROT_READ,
	PROT_WRITE,
} from "../linux/mman.ts";
import { has, hasFlag, remedy, type SystemCallRows } from "./call-row.ts";
import { buffer, count, descriptor, flags, hexadecimal, known, oneOf, pointer, type Spell, text } from "./kinds.ts";
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

const RLIMIT_MEMLOCK = "raise RLIMIT_MEMLOCK, or grant CAP_IPC_LOCK";
const OVERCOMMIT =
	"free memory, allow more of it (vm.overcommit_memory, the cgroup's memory.max) or more mappings (vm.max_map_count)";

export const memoryCalls = {
	mbind: { args: [pointer, count, hexadecimal, pointer, count, hexadecimal] },
	mseal: { args: [pointer, count, hexadecimal] },
	set_mempolicy: { args: [hexadecimal, pointer, count] },
	brk: { args: [pointer], returns: "address", remedies: [remedy("ENOMEM", OVERCOMMIT)] },
	ftruncate: { args: [descriptor, count] },
	lseek: { args: [descriptor, count, oneOf({ SEEK_SET: 0, SEEK_CUR: 1, SEEK_END: 2, SEEK_DATA: 3, SEEK_HOLE: 4 })] },
	madvise: {
		args: [pointer, count, oneOf(MADV, "MADV_")],
		remedies: [remedy("EINVAL", "needs Linux 6.13 or newer", has(2, MADV.GUARD_INSTALL)), remedy("ENOMEM", OVERCOMMIT)],
	},
	memfd_create: { args: [text, memfdFlags], remedies: [remedy("ENOMEM", OVERCOMMIT)] },
	mlock: {
		args: [pointer, count],
		remedies: [remedy("ENOMEM", RLIMIT_MEMLOCK), remedy("EPERM", RLIMIT_MEMLOCK), remedy("EAGAIN", RLIMIT_MEMLOCK)],
	},
	mlock2: {
		args: [pointer, count, flags({ MLOCK_ONFAULT: 1 })],
		remedies: [remedy("ENOMEM", RLIMIT_MEMLOCK), remedy("EPERM", RLIMIT_MEMLOCK), remedy("EAGAIN", RLIMIT_MEMLOCK)],
	},
	mmap: {
		args: [pointer, count, prot, mapFlags, descriptor, hexadecimal],
		returns: "address",
		remedies: [
			remedy("ENOMEM", "reserve huge pages of that size (vm.nr_hugepages)", hasFlag(3, MAP.HUGETLB)),
			remedy("EAGAIN", RLIMIT_MEMLOCK, hasFlag(3, MAP.LOCKED)),
			remedy("EPERM", RLIMIT_MEMLOCK, hasFlag(3, MAP.LOCKED)),
			remedy("EPERM", "lower vm.mmap_min_addr, or mount the file's file system without noexec"),
			remedy("EACCES", "the file must be readable, and writable where the mapping is shared"),
			remedy("ENOMEM", OVERCOMMIT),
		],
	},
	mprotect: { args: [pointer, count, prot], remedies: [remedy("ENOMEM", OVERCOMMIT)] },
	mremap: {
		args: [pointer, count, count, flags(MREMAP, "MREMAP_"), pointer],
		returns: "address",
		remedies: [
			remedy("ENOMEM", "reserve huge pages of that size (vm.nr_hugepages)", hasFlag(3, MAP.HUGETLB)),
			remedy("ENOMEM", OVERCOMMIT),
		],
	},
	munmap: { args: [pointer, count] },
	pread64: { args: [descriptor, pointer, count, hexadecimal] },
	preadv: { args: [descriptor, pieces(2), count, hexadecimal, hexadecimal] },
	process_vm_writev: { args: [known(String), pieces(2), count, pieces(4), count, count] },
	pwrite64: { args: [descriptor, buffer(2), count, hexadecimal] },
} as const satisfies SystemCallRows;
