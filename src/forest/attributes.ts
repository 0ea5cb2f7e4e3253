/*
 * What the kernel keeps of a process in a word or two, and few programs ever change. Each is a number: what it means stands
 * here, how it is asked in dump/, how it is given back in plan/. Absent is what a new process has, or what nobody knows.
 */

/** Of one thread. */
export const threadAttributes = {
	personality: "PER_ number with its flags (personality(2))",
	affinity: "processors it may run on, bit n for processor n (sched_setaffinity(2))",
	"io-priority": "IOPRIO_ class in the bits from 13 on, level below (ioprio_set(2))",
	"timer-slack": "nanoseconds (PR_SET_TIMERSLACK)",
	"memory-policy": "MPOL_ mode with its flags in the lowest 16 bits, nodes above (set_mempolicy(2))",
	tsc: "PR_TSC_ number: whether rdtsc is a fault (PR_SET_TSC)",
	"memory-errors": "PR_MCE_KILL_ number: when a broken page kills it (PR_MCE_KILL)",
	cpuid: "0 where cpuid is a fault (ARCH_SET_CPUID)",
	"io-flusher": "1 where reclaim must not wait for it (PR_SET_IO_FLUSHER)",
	"store-bypass": "PR_SPEC_ bits (PR_SET_SPECULATION_CTRL)",
	"indirect-branch": "PR_SPEC_ bits (PR_SET_SPECULATION_CTRL)",
	"l1d-flush": "PR_SPEC_ bits (PR_SET_SPECULATION_CTRL)",
} as const;

/** Of a whole process. */
export const processAttributes = {
	"coredump-filter": "which mappings its core would hold (core(5))",
	membarrier: "bit n: it has registered for command 1 << n (membarrier(2))",
	"write-execute": "PR_MDWE_ bits: no memory that is written is ever executed (PR_SET_MDWE)",
	"same-page-merging": "1 where all of its memory may be merged (PR_SET_MEMORY_MERGE)",
	"user-keyring": "1 where its session keyring held that of its user (keyctl(2))",
} as const;

/** Of one mapping. */
export const mappingAttributes = {
	"locked-on-fault": "1 where pages are locked as they come (MLOCK_ONFAULT)",
	sealed: "1 where it can no longer be changed (mseal(2))",
	"memory-policy": "as of a thread (mbind(2))",
} as const;

export type ThreadAttribute = keyof typeof threadAttributes;
export type ProcessAttribute = keyof typeof processAttributes;
export type MappingAttribute = keyof typeof mappingAttributes;

/** Numbers of any length, never negative. */
export type Attributes<Name extends string> = Readonly<Partial<Record<Name, bigint>>>;

/** What there is of them, in the order of the names. */
export const entriesOf = <Name extends string>(
	names: Readonly<Record<Name, string>>,
	attributes: Attributes<Name> | undefined,
): readonly (readonly [Name, bigint])[] =>
	(Object.keys(names) as Name[]).flatMap((name) => {
		const value = attributes?.[name];
		return value === undefined ? [] : [[name, value] as const];
	});
