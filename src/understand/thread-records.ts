import { isRseqRegistered, rseqArea } from "../arch/x86-64/rseq.ts";
import { type Address, address, hex } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { PartialMemory, PartialTask, PartialThread } from "../forest/partial-task.ts";
import type { Rseq, Thread } from "../forest/task.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";
import type { Rebased } from "./donor/rebase.ts";
import type { ThreadPair } from "./donor/thread-pairs.ts";
import { counted, type KernelRecords, MUSL_LOCK, type ThreadRecords } from "./evidence/kernel-records.ts";
import { believed } from "./witnesses.ts";

/** Moves an address that belongs to a donor's thread. */
export type Carry = (donor: Address | undefined) => Rebased | undefined;

export const carryFor =
	({ moved }: MovedDonor, { dead, donor }: ThreadPair): Carry =>
	(at) =>
		at === undefined
			? undefined
			: moved.inThread(at, {
					donor: address(donor.registers.fs_base),
					dead: address(dead.registers.fs_base),
				});

/**
 * What a thread had registered with the kernel: the word to clear at its end, its robust list and its rseq area, by its libc's
 * records; where those are not known (Go, no libc), as the donor's thread had.
 */
export function understandRecords(
	{ memory }: PartialTask,
	thread: PartialThread,
	proved: ThreadRecords | undefined,
	lent: { readonly donor: Thread; readonly carry: Carry } | undefined,
	report: (finding: Finding) => void,
): ThreadRecords {
	const subject = `thread ${thread.tid}`;
	const clearTid = believed({
		evidence: () => proved?.clearTid,
		donor: () => lent?.carry(lent.donor.clearTid)?.address,
		default: () => undefined,
	});
	if (clearTid.by === "donor") confirmTid(memory, clearTid.value, thread.tid, report);
	// where the donor's thread had none either, nobody joins threads by it: Go's runtime has its own ways
	if (clearTid.by === "default" && lent?.donor.clearTid !== undefined)
		report(
			caution(
				"thread-state",
				subject,
				"the address to clear at its end is unknown; whoever joins it will wait for ever",
			),
		);
	const robustList = believed({
		evidence: () => proved?.robustList,
		donor: () => lent?.carry(lent.donor.robustList)?.address,
		default: () => undefined,
	});
	if (robustList.by === "default" && lent?.donor.robustList !== undefined)
		report(
			caution(
				"address-unmapped",
				subject,
				`robust futex list at ${hex(lent.donor.robustList)} of the donor has no place here; it is not registered`,
			),
		);
	const rseq = believed({
		evidence: () => proved?.rseq,
		donor: () => lent && carryRseq(memory, lent.donor.rseq, lent.carry, subject, report),
		default: () => undefined,
	});
	return {
		...defined({
			clearTid: clearTid.value,
			robustList: robustList.value,
			rseq: rseq.value,
			tidWords: proved?.tidWords,
		}),
	};
}

/** Checks the moved address against the core: glibc stores the tid in the word that the kernel is to clear. */
function confirmTid(
	memory: PartialMemory,
	at: Address | undefined,
	tid: number,
	report: (finding: Finding) => void,
): void {
	const stored = at === undefined ? undefined : memory.read(at, 4)?.readInt32LE(0);
	if (at === undefined || stored === undefined || stored === tid) return;
	// folklore: musl's threads clear the global __thread_list_lock instead (musl 1.1.22 and later, src/env/__init_tls.c), which reads 0
	if (stored === 0) return;
	report(
		caution(
			"thread-state",
			`thread ${tid}`,
			`its control block at ${hex(at)} holds thread id ${stored}; the donor's libc may be another one`,
		),
	);
}

function carryRseq(
	memory: PartialMemory,
	rseq: Rseq | undefined,
	carry: Carry,
	subject: string,
	report: (finding: Finding) => void,
): Rseq | undefined {
	if (rseq === undefined) return undefined;
	const area = carry(rseq.area)?.address;
	const bytes = area === undefined ? undefined : memory.read(area, rseqArea.size);
	if (area === undefined || bytes === undefined) {
		report(
			caution("rseq", subject, `the area at ${hex(rseq.area)} of the donor has no place here; it is not registered`),
		);
		return undefined;
	}
	// rseq was off in the dead process (GLIBC_TUNABLES), or its kernel lacked it
	if (!isRseqRegistered(rseqArea.decode(bytes))) {
		report(note("rseq", subject, "was not registered in the dead process, nor is it now"));
		return undefined;
	}
	return { ...rseq, area };
}

/** Says which libc's records were found, and what comes of it where there are none and nobody lends any. */
export function reportRecords(
	{ threads }: PartialTask,
	records: KernelRecords,
	lent: boolean,
	report: (finding: Finding) => void,
): void {
	for (const finding of records.findings) report(finding);
	if (lent) return;
	const all = counted(threads.length);
	if (records.lack !== undefined)
		report(
			caution(
				"thread-state",
				all,
				`${records.lack} at fs_base; no robust list, rseq area or word to clear is registered, and whoever joins a thread waits for ever`,
			),
		);
	if (records.lockUnknown === true)
		report(
			caution(
				"thread-state",
				all,
				`${MUSL_LOCK} of musl was not found (a stripped libc); it is not cleared when one of them ends, and whoever makes or ends a thread after that waits for ever`,
			),
		);
	if (records.lack !== undefined) return;
	for (const thread of threads)
		if (records.of(thread) === undefined)
			report(
				caution(
					"thread-state",
					`thread ${thread.tid}`,
					"has no control block of its own; no robust list, rseq area or word to clear is registered",
				),
			);
}
