import { type Address, PAGE_SIZE, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { MOST_DESCRIPTORS } from "./descriptor-guess.ts";
import { type Library, type OpenObject, variablesOf } from "./program-objects.ts";

/** What Go's runtime waits with for all goroutines, by its own variables (runtime/netpoll_epoll.go). */
export interface GoPoller {
	/** The epoll instance. */
	readonly backend: number;
	/** What wakes it: an eventfd (Go 1.22 and newer), or the ends of a pipe. */
	readonly wake: { readonly read: number; readonly write?: number };
	/** What epoll says when that happened: the address of the variable that holds its number. */
	readonly cookie: Address;
}

const [EPOLL, EVENT, READ, WRITE] = [
	"runtime.epfd",
	"runtime.netpollEventFd",
	"runtime.netpollBreakRd",
	"runtime.netpollBreakWr",
] as const;

/** Go puts its runtime into every executable, a dynamic one too. */
const RUNTIME: Library = { objects: /(?!)/, alsoInDynamic: true };

/** The head of the note with Go's build-id: an owner of 4 bytes, type 4 (cmd/internal/buildid). */
const NOTE_TYPE_AND_OWNER = Buffer.from("\x04\0\0\0Go\0\0", "latin1");

/**
 * The poller of a Go program's runtime. Unless it can wake it the runtime throws, so a program that once used a timer or the
 * network dies at once. Nothing where the poller was not in use yet, or the program has no symbols.
 */
export function goPoller(memory: PartialMemory, open: OpenObject): GoPoller | undefined {
	if (!isGo(memory)) return undefined;
	const int = (at: Address | undefined): number =>
		(at === undefined ? undefined : memory.read(at, 4)?.readInt32LE(0)) ?? -1;
	for (const variables of variablesOf(memory, open, RUNTIME, [EPOLL, EVENT, READ, WRITE])) {
		const backend = int(variables.get(EPOLL));
		const wake = variables.get(EVENT) ?? variables.get(READ);
		const [read, write] = [int(wake), variables.has(EVENT) ? undefined : int(variables.get(WRITE))];
		const numbers = write === undefined ? [backend, read] : [backend, read, write];
		// before its first use all are 0, and the epoll instance -1
		const used = numbers.every((number) => number > 0 && number < MOST_DESCRIPTORS);
		if (wake !== undefined && used && new Set(numbers).size === numbers.length)
			return { backend, wake: { read, ...defined({ write }) }, cookie: wake };
	}
	return undefined;
}

/** How many threads of it are panicking for good (runtime/panic.go, startpanic_m). */
const PANICKING = "runtime.panicking";

/**
 * Whether a Go program was going down: its runtime has then stopped the world and forbidden each such thread to allocate
 * (runtime/panic.go, startpanic_m; runtime/proc.go, freezetheworld). Nothing undoes that.
 */
export function goPanics(memory: PartialMemory, open: OpenObject): boolean {
	if (!isGo(memory)) return false;
	return [...variablesOf(memory, open, RUNTIME, [PANICKING])].some((variables) => {
		const at = variables.get(PANICKING);
		return at !== undefined && (memory.read(at, 4)?.readUInt32LE(0) ?? 0) > 0;
	});
}

/** `runtime.sched` (runtime/runtime2.go, schedt): until when somebody sleeps in the poller, by the runtime's nanotime. */
const [SCHED, POLL_UNTIL] = ["runtime.sched", 16n] as const;

/** When the first timer of a Go program was due that all of it slept for: CLOCK_MONOTONIC, nanoseconds. */
export function goPollsUntil(memory: PartialMemory, open: OpenObject): bigint | undefined {
	if (!isGo(memory)) return undefined;
	for (const variables of variablesOf(memory, open, RUNTIME, [SCHED])) {
		const at = variables.get(SCHED);
		const until = at === undefined ? undefined : memory.read(plus(at, POLL_UNTIL), 8)?.readBigInt64LE(0);
		if (until !== undefined && until > 0n) return until;
	}
	return undefined;
}

/** Go's linker puts the note right behind the program headers. Symbol tables are long, and only Go's are worth reading. */
export function isGo({ mappings, executable, read }: PartialMemory): boolean {
	const head = mappings.find(({ file }) => file?.path === executable && file.offset === 0n);
	return head !== undefined && read(head.start, Number(PAGE_SIZE))?.includes(NOTE_TYPE_AND_OWNER) === true;
}
