import { bytes, layout, type Struct, u8, u16, u32 } from "../bytes/layout.ts";

/** `ioctl`s of terminals (include/uapi/asm-generic/ioctls.h). */
export const TIOC = {
	GPTN: 0x8004_5430,
	SPTLCK: 0x4004_5431,
	GPTLCK: 0x8004_5439,
	GPTPEER: 0x5441,
	PKT: 0x5420,
	GPKT: 0x8004_5438,
	EXCL: 0x540c,
	GEXCL: 0x8004_5440,
	GWINSZ: 0x5413,
	SWINSZ: 0x5414,
	GLCKTRMIOS: 0x5456,
	SLCKTRMIOS: 0x5457,
	SCTTY: 0x540e,
	SPGRP: 0x5410,
	GPGRP: 0x540f,
	GDEV: 0x8004_5432,
} as const;

export const TCSETS = 0x5402;
export const TCGETS2 = 0x802c_542a;
export const TCSETS2 = 0x402c_542b;

/** Bytes of c_cc (include/uapi/asm-generic/termbits.h). */
export const NCCS = 19;

/** `struct termios2`: 44 bytes. Without the speeds at its end it is `struct termios` as the kernel has it. */
export const termios2 = layout("termios2", {
	...{ c_iflag: u32, c_oflag: u32, c_cflag: u32, c_lflag: u32, c_line: u8, c_cc: bytes(NCCS) },
	...{ c_ispeed: u32, c_ospeed: u32 },
});

export type Termios = Struct<typeof termios2>;

/** `struct winsize`: 8 bytes. */
export const winsize = layout("winsize", { ws_row: u16, ws_col: u16, ws_xpixel: u16, ws_ypixel: u16 });

export type Winsize = Struct<typeof winsize>;

/** Of c_iflag: Ctrl-S stops what is written, Ctrl-Q lets it go on. */
export const IXON = 0o2000;

/** Of c_lflag: input comes in lines; or is edited elsewhere. */
export const ICANON = 0o2;
export const EXTPROC = 0o200_000;

/** Indices into c_cc: what ends a line without being in it, and what does and is. */
export const VEOF = 4;
export const VEOL = 11;
export const VEOL2 = 16;

/** How many bytes a read waits for where input does not come in lines. */
export const VMIN = 6;

/** Numbers of devices (Documentation/admin-guide/devices.txt). */
export const TTY_MAJOR = { VT: 4, CURRENT: 5, PTY_SLAVE: 136, SERIAL: 204 } as const;

/** Those of {@link TTY_MAJOR.CURRENT}. */
export const TTY_MINOR = { CURRENT: 0, CONSOLE: 1, PTMX: 2 } as const;

/** The lowest minor of {@link TTY_MAJOR.VT} that is a serial line. */
export const FIRST_SERIAL = 64;
