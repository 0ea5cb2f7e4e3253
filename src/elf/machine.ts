/** `e_machine` values (include/uapi/linux/elf-em.h) that Linux cores come from. */
const machines: Readonly<Record<number, string>> = {
	2: "SPARC",
	3: "i386",
	8: "MIPS",
	15: "PA-RISC",
	20: "PowerPC",
	21: "PowerPC64",
	22: "S/390",
	40: "ARM",
	42: "SuperH",
	43: "SPARC V9",
	50: "Itanium",
	62: "x86-64",
	183: "AArch64",
	243: "RISC-V",
	247: "BPF",
	258: "LoongArch",
};

/** A machine in words, by number where it has none here. */
export const machineName = (machine: number): string => machines[machine] ?? `machine ${machine}`;
