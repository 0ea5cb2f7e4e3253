import { TRAP_FLAG, type UserRegs } from "../../arch/x86-64/registers.ts";
import { restartFixup } from "../../arch/x86-64/restart.ts";
import { abortedIp, rseqArea, rseqCs } from "../../arch/x86-64/rseq.ts";
import { type Address, address, hex } from "../../bytes/address.ts";
import { type Finding, note } from "../../finding.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import type { Rseq } from "../../forest/task.ts";

/**
 * The registers a thread resumes with: out of the restartable sequence it was in, its system call wound back, and not
 * single-stepped, since no debugger waits for the trap.
 */
export function completeRegisters(
	registers: UserRegs,
	memory: PartialMemory,
	rseq: Rseq | undefined,
	subject: string,
	report: (finding: Finding) => void,
): UserRegs {
	const ip = rseq === undefined ? undefined : interruptedCriticalSection(memory, rseq, address(registers.ip));
	if (ip !== undefined)
		report(note("rseq", subject, `was inside a restartable sequence; it resumes at the abort handler ${hex(ip)}`));
	const { regs } = restartFixup(ip === undefined ? registers : { ...registers, ip });
	if ((regs.flags & TRAP_FLAG) === 0n) return regs;
	report(note("thread-state", subject, "was being single-stepped; it resumes without the trap flag"));
	return { ...regs, flags: regs.flags & ~TRAP_FLAG };
}

const interruptedCriticalSection = (memory: PartialMemory, rseq: Rseq, ip: Address): Address | undefined => {
	const bytes = memory.read(rseq.area, rseqArea.size);
	if (bytes === undefined) return undefined;
	const area = rseqArea.decode(bytes);
	const section = area.rseq_cs === 0n ? undefined : memory.read(address(area.rseq_cs), rseqCs.size);
	if (section === undefined) return undefined;
	return abortedIp(ip, rseqCs.decode(section), area.flags);
};
