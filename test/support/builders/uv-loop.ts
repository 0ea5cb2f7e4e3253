import type { BuiltCore } from "./core-builder.ts";
import { ints, poke, words } from "./deduced-core.ts";
import { deadPlaces } from "./pair.ts";

/** One watcher of a made-up libuv loop. */
export interface MadeWatcher {
	readonly fd: number;
	/** What epoll was told. */
	readonly events: number;
	/** The number under which it stands, its own by default. */
	readonly slot?: number;
	/** Where it lies, beside the loop by default. */
	readonly at?: bigint;
	readonly calls?: bigint;
}

export interface MadeLoop {
	readonly at: bigint;
	readonly backend: number;
	readonly async?: { readonly fd: number; readonly wfd: number };
	readonly signals?: readonly [number, number];
	readonly watchers?: readonly MadeWatcher[];
	/** The lists that are empty, by their offsets; that of pending watchers by default. */
	readonly empty?: readonly bigint[];
	/** As many as it says it has; as many as there are by default. */
	readonly count?: number;
}

const CODE = deadPlaces.exe + 4096n + 0x20n;

/** Puts a `uv_loop_t` (libuv 1.46, offsets by gcc) into a core, its table of 64 watchers 1024 bytes behind it. */
export function withLoop(
	core: BuiltCore,
	{ at, backend, async, signals, watchers = [], count, empty = [72n] }: MadeLoop,
): BuiltCore {
	const all = [
		...(async === undefined ? [] : [{ fd: async.fd, events: 1, at: at + 456n }]),
		...(signals === undefined ? [] : [{ fd: signals[0], events: 1, at: at + 560n }]),
		...watchers.map((watcher, i) => ({ at: at + 0x700n + BigInt(i * 64), ...watcher })),
	] as (MadeWatcher & { at: bigint })[];
	let made = poke(core, at + 64n, ints(backend, 0));
	made = poke(made, at + 104n, words(at + 0x400n));
	for (const list of empty) made = poke(made, at + list, words(at + list, at + list));
	made = poke(made, at + 112n, ints(64, count ?? all.length));
	made = poke(made, at + 512n, ints(async?.wfd ?? -1));
	made = poke(made, at + 552n, ints(...(signals ?? [-1, -1])));
	if (signals === undefined) made = poke(made, at + 608n, ints(-1));
	for (const { fd, events, slot = fd, at: place, calls = CODE } of all) {
		made = poke(made, at + 0x400n + BigInt(slot * 8), words(place));
		made = poke(made, place, Buffer.concat([words(calls, 0n, 0n, 0n, 0n), ints(events, events, fd)]));
	}
	return made;
}
