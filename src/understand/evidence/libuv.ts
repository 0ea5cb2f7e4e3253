import { type Address, address, plus } from "../../bytes/address.ts";
import { array, bytes, i32, layout, u32, u64 } from "../../bytes/layout.ts";
import { rangeAt } from "../../bytes/range.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { PROT_EXEC } from "../../linux/mman.ts";
import { type Library, type OpenObject, variablesOf } from "./program-objects.ts";
import { selfPointers } from "./search.ts";

/** An event loop of libuv, by its own records. */
export interface UvLoop {
	readonly at: Address;
	/** The epoll instance. */
	readonly backend: number;
	/** What wakes the loop from other threads: an eventfd, or the ends of a pipe. */
	readonly async?: { readonly read: number; readonly write?: number };
	/** What carries signals from the handler into the loop. */
	readonly signalPipe?: { readonly read: number; readonly write: number };
	/** What it watches, ascending; `events` is what epoll had been told, EPOLL flags. */
	readonly watchers: readonly { readonly descriptor: number; readonly events: number }[];
	/** What it takes for now: CLOCK_MONOTONIC when it last had something to do, milliseconds. */
	readonly time: bigint;
}

const queue = array(u64, 2);

/** `uv__io_t` (libuv 1.x, uv/unix.h). */
const uvIo = layout("uv__io_t", {
	cb: u64,
	pending_queue: queue,
	watcher_queue: queue,
	/** What it is to be watched for from the next round on. */
	pevents: u32,
	/** What epoll has been told. */
	events: u32,
	fd: i32,
});

/** The beginning of `uv_loop_t`, the same in all of libuv 1.x (uv.h, uv/unix.h). */
const uvLoop = layout("uv_loop_t", {
	data: u64,
	active_handles: u32,
	handle_queue: queue,
	active_reqs: u64,
	internal_fields: u64,
	stop_flag: u32,
	flags: u64,
	backend_fd: i32,
	pending_queue: queue,
	watcher_queue: queue,
	watchers: u64,
	nwatchers: u32,
	nfds: u32,
	wq: queue,
	wq_mutex: bytes(40),
	wq_async: bytes(128),
	cloexec_lock: bytes(56),
	closing_handles: u64,
	process_handles: queue,
	prepare_handles: queue,
	check_handles: queue,
	idle_handles: queue,
	async_handles: queue,
	async_unused: u64,
	async_io_watcher: uvIo,
	async_wfd: i32,
	timer_heap: layout("timer_heap", { min: u64, nelts: u32 }),
	timer_counter: u64,
	time: u64,
	signal_pipefd: array(i32, 2),
	signal_io_watcher: uvIo,
});

/** Entries of all loops' tables together, and how many empty lists are looked at: hostile memory may be full of either. */
const MOST_WATCHERS = 65_536;
const MOST_LOOKS = 262_144;

/** Lists of a loop of which hardly ever all have members: pending watchers, finished work, child processes. */
const OFTEN_EMPTY = ["pending_queue", "wq", "process_handles"] as const;

/**
 * The loops in the dead process's memory. Some of a loop's lists are empty at any time, and an empty list points at itself. A
 * loop is believed when every watcher that its table has is for the descriptor under whose number it stands, calls
 * code, and when there are as many as it says.
 */
export function uvLoops(memory: PartialMemory, places: readonly { start: Address; end: Address }[]): UvLoop[] {
	const found = new Map<Address, UvLoop>();
	let [looks, table] = [MOST_LOOKS, MOST_WATCHERS];
	for (const at of selfPointers(memory, places))
		for (const list of OFTEN_EMPTY) {
			if (looks-- <= 0) return [...found.values()];
			const start = plus(at, -BigInt(uvLoop.offsetOf(list)));
			const watchers = found.has(start) ? 0 : tableOf(start, memory);
			if (watchers === 0 || watchers > table) continue;
			table -= watchers;
			const loop = loopAt(start, memory);
			if (loop !== undefined) found.set(start, loop);
		}
	return [...found.values()];
}

/** How many entries a loop's table of watchers has, by a first look; 0 for what is none. */
function tableOf(at: Address, memory: PartialMemory): number {
	const from = uvLoop.offsetOf("backend_fd");
	const bytes = memory.read(plus(at, BigInt(from)), uvLoop.offsetOf("wq") - from);
	if (bytes === undefined) return 0;
	const backend = bytes.readInt32LE(0);
	const nwatchers = bytes.readUInt32LE(uvLoop.offsetOf("nwatchers") - from);
	const nfds = bytes.readUInt32LE(uvLoop.offsetOf("nfds") - from);
	return backend >= 0 && backend < MOST_WATCHERS && nfds > 0 && nfds <= nwatchers ? nwatchers : 0;
}

function loopAt(at: Address, memory: PartialMemory): UvLoop | undefined {
	const raw = memory.read(at, uvLoop.size);
	if (raw === undefined) return undefined;
	const loop = uvLoop.decode(raw);
	const { backend_fd, nfds } = loop;
	const watchers = watchersOf(loop, memory);
	if (watchers?.size !== nfds) return undefined;
	const place = (field: "async_io_watcher" | "signal_io_watcher"): bigint => at + BigInt(uvLoop.offsetOf(field));
	const async = loop.async_io_watcher.fd;
	const [read = -1, write = -1] = loop.signal_pipefd;
	return {
		at,
		backend: backend_fd,
		...(watchers.get(async)?.at === place("async_io_watcher")
			? { async: { read: async, ...(loop.async_wfd >= 0 ? { write: loop.async_wfd } : {}) } }
			: {}),
		...(read >= 0 && write >= 0 && write < MOST_WATCHERS && loop.signal_io_watcher.fd === read
			? { signalPipe: { read, write } }
			: {}),
		watchers: [...watchers].map(([descriptor, { events }]) => ({ descriptor, events })),
		time: loop.time,
	};
}

/** By descriptor; `undefined` when the table is none. */
function watchersOf(
	{
		watchers,
		nwatchers,
		backend_fd,
	}: { readonly watchers: bigint; readonly nwatchers: number; readonly backend_fd: number },
	memory: PartialMemory,
): ReadonlyMap<number, { readonly at: bigint; readonly events: number }> | undefined {
	const table = memory.read(address(watchers), nwatchers * 8);
	if (table === undefined) return undefined;
	const found = new Map<number, { readonly at: bigint; readonly events: number }>();
	for (let descriptor = 0; descriptor < nwatchers; descriptor++) {
		const at = table.readBigUInt64LE(descriptor * 8);
		if (at === 0n) continue;
		const raw = memory.read(address(at), uvIo.size);
		if (raw === undefined) return undefined;
		const { cb, fd, events } = uvIo.decode(raw);
		const calls = rangeAt(memory.mappings, address(cb));
		if (fd !== descriptor || fd === backend_fd || ((calls?.prot ?? 0) & PROT_EXEC) === 0) return undefined;
		found.set(descriptor, { at, events });
	}
	return found;
}

const LOCK = "uv__signal_lock_pipefd";
const LIBUV: Library = { objects: /\/libuv[-.][^/]*$/, alsoInDynamic: true };

/**
 * The pipe that libuv uses as a lock around its signal handlers; the byte in it is the lock. Without it the process aborts as
 * soon as it handles a signal. Found by symbol; a stripped libuv has it right behind the first loop's epoll instance, for it
 * is made while that loop is.
 */
export function uvLockPipe(
	memory: PartialMemory,
	open: OpenObject,
	loops: readonly UvLoop[],
): { readonly read: number; readonly write: number } | undefined {
	for (const variables of variablesOf(memory, open, LIBUV, [LOCK])) {
		const at = variables.get(LOCK);
		const ends = at === undefined ? undefined : memory.read(at, 8);
		const [read, write] = [ends?.readInt32LE(0) ?? -1, ends?.readInt32LE(4) ?? -1];
		if (read >= 0 && write >= 0 && read < MOST_WATCHERS && write < MOST_WATCHERS) return { read, write };
	}
	const first = loops.find(({ backend, signalPipe }) => signalPipe?.read === backend + 3);
	return first === undefined ? undefined : { read: first.backend + 1, write: first.backend + 2 };
}
