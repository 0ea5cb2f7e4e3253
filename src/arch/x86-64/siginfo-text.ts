import { hex } from "../../bytes/address.ts";
import { readSiginfo, type Siginfo } from "../../linux/siginfo.ts";
import { SI, siginfoCode, siginfoCodeName } from "../../linux/siginfo-codes.ts";
import { signalName } from "../../linux/signal.ts";
import { syscallName } from "./syscalls.ts";

/**
 * Why a process got a signal, in words: `SIGSEGV at 0x0 (address not mapped)`, `SIGABRT sent by pid 1234 (uid 0)`.
 *
 * @param bytes The 128 bytes of a `siginfo_t`.
 * @throws NecromancerError ERR_NOTE_SIZE for any other length.
 */
export const describeSiginfo = (bytes: Uint8Array, subject?: string): string =>
	siginfoText(readSiginfo(bytes, subject));

/** The same of a siginfo already read. */
function siginfoText({ si_signo, si_code, cause }: Siginfo): string {
	if (si_signo === 0) return "no signal";
	const signal = signalName(si_signo);
	const meaning = siginfoCode(si_signo, si_code)?.meaning ?? `code ${si_code}`;
	switch (cause.kind) {
		case "kill":
			// A general protection fault comes with neither address nor sender.
			if (si_code === SI.KERNEL) return `${signal} raised by the kernel`;
			if (si_code > SI.USER) return `${signal} (${meaning})`;
			return `${signal} sent by ${sender(cause)}`;
		case "queue":
			if (si_code === SI.QUEUE) return `${signal} queued by ${sender(cause)} with value ${hex(cause.value)}`;
			return `${signal} from ${sender(cause)} (${meaning})`;
		case "timer":
			return `${signal} from timer ${cause.tid} (value ${hex(cause.value)}, ${cause.overrun} overruns)`;
		case "child":
			return `${signal} because child ${cause.pid} ${childText(si_code, cause.status)}`;
		case "fault":
			return `${signal} at ${hex(cause.addr)} (${meaning})`;
		case "fault-memory":
			return `${signal} at ${hex(cause.addr)} (${meaning}, ${2 ** (cause.addrLsb & 63)} bytes)`;
		case "fault-bounds":
			return `${signal} at ${hex(cause.addr)} (${meaning}: ${hex(cause.lower)} to ${hex(cause.upper)})`;
		case "fault-pkey":
			return `${signal} at ${hex(cause.addr)} (${meaning}: key ${cause.pkey})`;
		case "perf":
			return `${signal} at ${hex(cause.addr)} (${meaning})`;
		case "poll":
			return `${signal} for descriptor ${cause.fd} (${meaning})`;
		case "sys":
			return `${signal} at ${hex(cause.callAddr)} (${meaning} ${syscallName(BigInt(cause.syscall)) ?? "no system call"})`;
	}
}

const sender = ({ pid, uid }: { readonly pid: number; readonly uid: number }): string =>
	// Pid 0 is a sender that the dead process could not see: one outside its pid namespace.
	pid === 0 ? `a process outside its namespace (uid ${uid})` : `pid ${pid} (uid ${uid})`;

const CLD_EXITED = 1;

const childText = (code: number, status: number): string => {
	const what = siginfoCode(17, code)?.meaning ?? siginfoCodeName(17, code);
	return code === CLD_EXITED ? `${what} with status ${status}` : `${what} (${signalName(status)})`;
};
