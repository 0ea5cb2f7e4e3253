import { array, layout, type Struct, u16, u32, u64 } from "../../bytes/layout.ts";
import { prstatusWith } from "../../linux/elf-core.ts";
import { userRegs } from "./registers.ts";

/** Of x86-64: 336 bytes. */
export const elfPrstatus = prstatusWith(userRegs);

/** One row of NT_X86_XSAVE_LAYOUT (`struct x86_xfeat_component`, arch/x86/include/uapi/asm/elf.h; kernels >= 6.12). */
export const xfeatComponent = layout("x86_xfeat_component", { type: u32, size: u32, offset: u32, flags: u32 });

/** `struct user_i387_struct`, the FXSAVE image of NT_FPREGSET and the first 512 bytes of an XSAVE area. */
export const fxregs = layout("fxregs_state", {
	cwd: u16,
	swd: u16,
	/** One tag bit per register, not the 16-bit x87 tag word. */
	twd: u16,
	fop: u16,
	rip: u64,
	rdp: u64,
	mxcsr: u32,
	mxcsr_mask: u32,
	/** Eight x87 registers of 16 bytes, as 32-bit words. */
	st_space: array(u32, 32),
	/** Sixteen XMM registers of 16 bytes, as 32-bit words. */
	xmm_space: array(u32, 64),
	/** Words 12.. of the reserved tail hold the kernel's software bytes: word 12/13 (byte 464) the XCR0 mask. */
	padding: array(u32, 24),
});

export type Fxregs = Struct<typeof fxregs>;
