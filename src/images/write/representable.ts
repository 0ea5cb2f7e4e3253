import { componentsIn, xstateComponentName } from "../../arch/x86-64/xstate-components.ts";
import { hex } from "../../bytes/address.ts";
import { REPRESENTABLE } from "../../criu/fpregs.ts";
import { caution, type Finding, loss } from "../../finding.ts";
import type { Memory, Task, Thread } from "../../forest/task.ts";
import { withOneVvar } from "../../forest/vvar.ts";

/** Reports what CRIU's images have no field for: seccomp filters, XSAVE components. */
export function reportLosses({ threads }: Task, report: (finding: Finding) => void): void {
	for (const thread of threads) {
		if (thread.seccomp === "filter")
			report(loss("not-in-images", `thread ${thread.tid}`, "its seccomp filters; that it had some stops a restore"));
		reportLostRegisters(thread, report);
	}
}

/** Reports a thread's XSAVE components that images have no field for. */
export function reportLostRegisters({ tid, xstate }: Thread, report: (finding: Finding) => void): void {
	const beyond = componentsIn(xstate.xstateBv & ~REPRESENTABLE).map(xstateComponentName);
	if (beyond.length > 0)
		report(
			loss("xstate", `thread ${tid}`, `used ${beyond.join(", ")}, which images cannot hold; those registers are reset`),
		);
}

/** The memory as images hold it: vvar in one piece, and no rings of packet sockets. */
export function writable({ memory, ipc }: Pick<Task, "memory" | "ipc">, report: (finding: Finding) => void): Memory {
	const segments = ipc !== undefined;
	if (memory.executable === "")
		report(loss("not-in-images", "executable", "is gone, and CRIU restores no process without one"));
	const mappings = withOneVvar(memory.mappings).filter(({ backing, start }) => {
		if (backing.kind === "sysv" && !segments)
			report(caution("not-in-images", `mapping ${hex(start)}`, "System V memory; its bytes stay in the kernel"));
		if (backing.kind !== "socket") return true;
		report(loss("mapping-dropped", `mapping ${hex(start)}`, "was the ring of a packet socket"));
		return false;
	});
	return { ...memory, mappings };
}

/** `criu restore` refuses a process that is no session leader without --shell-job. */
export const noSessionLeader = (sid: number): Finding =>
	caution("session", `session ${sid}`, "the process is no session leader; restore it with --shell-job, from a shell");
