import type { UserRegs } from "../../arch/x86-64/registers.ts";
import { address } from "../../bytes/address.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { FD_SETSIZE, fdSetBytes, fdsIn, pollfd } from "../../linux/poll.ts";
import type { BlockingCall } from "./blocking-calls.ts";

/** A descriptor that a thread was waiting on when it died, or when the handler was called that it died in. */
export interface Wait extends BlockingCall {
	readonly descriptor: number;
	/** How many bytes a read asked for. */
	readonly count?: bigint;
	/** No timeout ends it. */
	readonly forever: boolean;
}

/** System calls whose first argument is a descriptor and which threads sleep in. */
const WAITS_ON_DESCRIPTOR: readonly string[] = [
	...["read", "write", "pread64", "pwrite64", "readv", "writev"],
	...["recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "accept", "accept4", "connect"],
	...["epoll_wait", "epoll_pwait", "epoll_pwait2", "flock", "ioctl", "fsync", "fdatasync"],
];

const MOST_POLLED = 256;

/** What threads were waiting on: their registers name it, poll(2) and select(2) do so in the dead process's own memory. */
export const waitsOf = (calls: readonly BlockingCall[], memory: Pick<PartialMemory, "read">): Wait[] =>
	calls.flatMap((call) => waitsIn(call, memory));

function waitsIn(within: BlockingCall, memory: Pick<PartialMemory, "read">): Wait[] {
	const { call, registers } = within;
	const on = (descriptors: readonly number[]): Wait[] =>
		descriptors
			.filter((descriptor) => descriptor >= 0)
			.map((descriptor) => ({ ...within, descriptor, forever: waitsForever(call, registers) }));
	if (WAITS_ON_DESCRIPTOR.includes(call)) {
		const waits = on([int(registers.di)]);
		return call === "read" ? waits.map((wait) => ({ ...wait, count: registers.dx })) : waits;
	}
	if (call === "poll" || call === "ppoll") return on(polled(registers, memory));
	return call === "select" || call === "pselect6" ? on(selected(registers, memory)) : [];
}

/** epoll_wait(2) and poll(2) count milliseconds, below 0 for ever; the others point at a time, or at none. */
function waitsForever(call: string, { dx, r8, r10 }: UserRegs): boolean {
	switch (call) {
		case "epoll_wait":
		case "epoll_pwait":
			return int(r10) < 0;
		case "poll":
			return int(dx) < 0;
		case "epoll_pwait2":
			return r10 === 0n;
		case "ppoll":
			return dx === 0n;
		case "select":
		case "pselect6":
			return r8 === 0n;
		default:
			return true;
	}
}

const int = (register: bigint): number => Number(BigInt.asIntN(32, register));

function polled({ di, si }: UserRegs, memory: Pick<PartialMemory, "read">): number[] {
	if (si > MOST_POLLED) return [];
	const bytes = memory.read(address(di), Number(si) * pollfd.size);
	if (bytes === undefined) return [];
	return Array.from({ length: Number(si) }, (_, i) => pollfd.decode(bytes.subarray(i * pollfd.size)).fd);
}

/** The kernel writes its answer into the sets only when the call returns, and not when it is interrupted. */
function selected({ di, si, dx, r10 }: UserRegs, memory: Pick<PartialMemory, "read">): number[] {
	const count = int(di);
	if (count <= 0 || count > FD_SETSIZE) return [];
	const found = [si, dx, r10].flatMap((set) => {
		const bytes = set === 0n ? undefined : memory.read(address(set), fdSetBytes(count));
		return bytes === undefined ? [] : fdsIn(bytes, count);
	});
	return [...new Set(found)].sort((a, b) => a - b);
}
