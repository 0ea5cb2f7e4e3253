import { array, i32, layout, type Struct, u32, u64 } from "../../bytes/layout.ts";
import { NT, prstatusWith } from "../../linux/elf-core.ts";
import type { Architecture, ThreadNote } from "../architecture.ts";

/** `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h). */
export const userPtRegs = layout("user_pt_regs", {
	/** x0 to x30; x30 is the link register. */
	regs: array(u64, 31),
	sp: u64,
	pc: u64,
	pstate: u64,
});

export type UserPtRegs = Struct<typeof userPtRegs>;

/** `struct user_fpsimd_state`: 32 vectors of 128 bits as words of 64, the lower first. */
export const userFpsimdState = layout("user_fpsimd_state", {
	vregs: array(u64, 64),
	fpsr: u32,
	fpcr: u32,
	reserved: array(u32, 2),
});

/** Note types (include/uapi/linux/elf.h) under the owner LINUX. */
export const NT_ARM = {
	TLS: 0x401,
	HW_BREAK: 0x402,
	HW_WATCH: 0x403,
	SYSTEM_CALL: 0x404,
	SVE: 0x405,
	PAC_MASK: 0x406,
	PACA_KEYS: 0x407,
	PACG_KEYS: 0x408,
	TAGGED_ADDR_CTRL: 0x409,
	PAC_ENABLED_KEYS: 0x40a,
	SSVE: 0x40b,
	ZA: 0x40c,
	ZT: 0x40d,
	FPMR: 0x40e,
	POE: 0x40f,
	GCS: 0x410,
} as const;

/** NT_ARM_SYSTEM_CALL: the system call a thread is in, or -1. */
export const armSystemCall = layout("system call", { number: i32 });

/** `struct user_pac_mask`: the bits of an address of data, and of code, that hold its signature. */
export const userPacMask = layout("user_pac_mask", { data_mask: u64, insn_mask: u64 });

/** `struct user_gcs`: the guarded control stack (arch/arm64/include/uapi/asm/ptrace.h, Linux 6.13). */
export const userGcs = layout("user_gcs", { features_enabled: u64, features_locked: u64, gcspr_el0: u64 });

/** SVE and SME registers grow with the vector length: 2048 bits in 32 vectors, and ZA of 64 KiB, are the most. */
const VECTORS = 32 * 256 + 16 * 32 + 4096;
const MATRIX = 65_536 + 4096;
/** `struct user_hwdebug_state` with 16 registers. */
const DEBUG = 8 + 16 * 16;

const exactly = (type: number, title: string, bytes: number): ThreadNote => ({
	...{ owner: "LINUX", type, title },
	size: { exactly: bytes },
});
const atMost = (type: number, title: string, bytes: number): ThreadNote => ({
	...{ owner: "LINUX", type, title },
	size: { atMost: bytes },
});

/** A processor whose cores are shown. Nothing here makes them run. */
export const aarch64: Architecture<UserPtRegs> = {
	machine: 183,
	prstatus: prstatusWith(userPtRegs),
	threadNotes: [
		{ ...exactly(NT.FPREGSET, "floating-point registers", userFpsimdState.size), owner: "CORE" },
		atMost(NT_ARM.TLS, "thread pointers", 16),
		atMost(NT_ARM.HW_BREAK, "hardware breakpoints", DEBUG),
		atMost(NT_ARM.HW_WATCH, "hardware watchpoints", DEBUG),
		exactly(NT_ARM.SYSTEM_CALL, "system call", armSystemCall.size),
		atMost(NT_ARM.SVE, "SVE registers", VECTORS),
		exactly(NT_ARM.PAC_MASK, "pointer authentication masks", userPacMask.size),
		exactly(NT_ARM.PACA_KEYS, "address authentication keys", 64),
		exactly(NT_ARM.PACG_KEYS, "generic authentication key", 16),
		exactly(NT_ARM.TAGGED_ADDR_CTRL, "tagged address control", 8),
		exactly(NT_ARM.PAC_ENABLED_KEYS, "enabled authentication keys", 8),
		atMost(NT_ARM.SSVE, "streaming SVE registers", VECTORS),
		atMost(NT_ARM.ZA, "ZA", MATRIX),
		atMost(NT_ARM.ZT, "ZT", 4096),
		exactly(NT_ARM.FPMR, "FPMR", 8),
		exactly(NT_ARM.POE, "POR_EL0", 8),
		exactly(NT_ARM.GCS, "guarded control stack", userGcs.size),
	],
};
