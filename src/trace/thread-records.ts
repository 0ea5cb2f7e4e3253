import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { type Address, address } from "../bytes/address.ts";
import { u64, viewOf } from "../bytes/layout.ts";
import {
	PEEKSIGINFO_SHARED,
	PTRACE,
	ptracePeeksiginfoArgs,
	ptraceRseqConfiguration,
	ptraceSudConfig,
} from "../linux/ptrace.ts";
import { SIGINFO_SIZE } from "../linux/siginfo.ts";

/** What the kernel tells a tracer of a stopped thread, beside its registers. */
export interface ThreadRecords {
	/** 0 for none. */
	readonly robustList: Address;
	/** SCHED_ number, with SCHED_RESET_ON_FORK. */
	readonly policy: number;
	/** Absent where it has not registered one, and before Linux 5.13. */
	/** Whether its system calls go to a handler of its own (PR_SET_SYSCALL_USER_DISPATCH); not told before Linux 6.4. */
	readonly dispatched: boolean;
	readonly rseq?: { readonly area: Address; readonly size: number; readonly signature: number };
}

const PATIENCE = 30_000;

/** In the order of the ids. @throws NecromancerError ERR_HOST where the agent is lost. */
export async function threadRecords(agent: Agent, tids: readonly number[]): Promise<readonly ThreadRecords[]> {
	const records: ThreadRecords[] = [];
	await inBatches(agent, tids, {
		doing: "asking the kernel about threads",
		patience: PATIENCE,
		add: (batch, tid) => {
			const [head, length] = [batch.space(8), batch.space(8)];
			const rseq = batch.space(ptraceRseqConfiguration.size);
			batch.call("get_robust_list", tid, head, length);
			batch.call("ptrace", PTRACE.GET_RSEQ_CONFIGURATION, tid, ptraceRseqConfiguration.size, rseq);
			const dispatch = batch.space(ptraceSudConfig.size);
			batch.call("ptrace", PTRACE.GET_SYSCALL_USER_DISPATCH_CONFIG, tid, ptraceSudConfig.size, dispatch);
			return { head, rseq, dispatch, policy: batch.call("sched_getscheduler", tid) };
		},
		read: (done, { head, rseq, dispatch, policy }) => {
			const { rseq_abi_pointer, rseq_abi_size, signature } = ptraceRseqConfiguration.decode(done.bytes(rseq));
			const known = done.result(policy);
			records.push({
				robustList: address(u64.read(viewOf(done.bytes(head)), 0)),
				policy: known < 0n ? 0 : Number(known),
				dispatched: ptraceSudConfig.decode(done.bytes(dispatch)).mode !== 0n,
				...(rseq_abi_pointer === 0n
					? {}
					: { rseq: { area: address(rseq_abi_pointer), size: rseq_abi_size, signature } }),
			});
		},
	});
	return records;
}

/** Signals that one request copies. */
const SIGNALS = 256;

/**
 * The signals that wait for a stopped thread, or for its whole process: 128-byte siginfo each, oldest first.
 *
 * @throws NecromancerError ERR_HOST where the agent is lost.
 */
export async function pendingSignals(
	agent: Agent,
	tid: number,
	whose: "thread" | "process",
): Promise<readonly Uint8Array[]> {
	const found: Uint8Array[] = [];
	for (;;) {
		const batch = agent.batch();
		const into = batch.space(SIGNALS * SIGINFO_SIZE);
		const args = batch.put(
			ptracePeeksiginfoArgs.encode({
				off: BigInt(found.length),
				flags: whose === "process" ? PEEKSIGINFO_SHARED : 0,
				nr: SIGNALS,
			}),
		);
		const result = batch.call("ptrace", PTRACE.PEEKSIGINFO, tid, args, into);
		const done = await agent.perform(batch, { patience: PATIENCE, doing: `reading signals of thread ${tid}` });
		const count = Number(done.result(result));
		for (let i = 0; i < count; i++)
			found.push(Uint8Array.from(done.bytes(into).subarray(i * SIGINFO_SIZE, (i + 1) * SIGINFO_SIZE)));
		if (count < SIGNALS) return found;
	}
}
