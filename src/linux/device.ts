/** `dev_t` as stat(2) gives it (glibc's gnu_dev_major and gnu_dev_minor). */
export const majorOf = (device: bigint): number =>
	Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn & 0xffff_ffffn));
export const minorOf = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & 0xffff_ff00n));
