import { uptime } from "node:os";
import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import { type ClockOrigin, type HostClocks, type ProcessClocks, sameOrigin } from "../forest/clocks.ts";
import { CLOCK, type Clocks, nanosecondsOf, timespec } from "../linux/time.ts";
import { ifShown } from "../proc/if-shown.ts";
import { type Namespace, readNamespace, readTimensOffsets } from "../proc/namespaces.ts";
import { readBootId } from "../proc/sys.ts";
import { processes } from "../proc/tasks.ts";

/**
 * Boot and time namespace of a process; absent if its children get another time namespace: timens_offsets shows only the
 * children's. No offsets on a kernel without time namespaces.
 */
export function clockOriginOf(pid: number | "self"): ClockOrigin | undefined {
	const link = (name: Namespace): string | undefined => ifShown(() => readNamespace(pid, name));
	if (link("time") !== link("time_for_children")) return undefined;
	return { boot: readBootId(), offsets: ifShown(() => readTimensOffsets(pid)) ?? NO_OFFSETS };
}

const NO_OFFSETS: Clocks = { monotonic: 0n, boottime: 0n };

/** Reads the clocks now, by the agent: Node has CLOCK_MONOTONIC only. */
export async function readClocks(agent: Agent): Promise<Clocks> {
	const batch = agent.batch();
	const [monotonic, boottime] = [CLOCK.MONOTONIC, CLOCK.BOOTTIME].map((clock) => {
		const place = batch.space(timespec.size);
		batch.call("clock_gettime", clock, place);
		return place;
	});
	const done = await agent.perform(batch);
	const time = (place: typeof monotonic): bigint =>
		place === undefined ? 0n : nanosecondsOf(timespec.decode(done.bytes(place)));
	return { monotonic: time(monotonic), boottime: time(boottime) };
}

/** The clocks in the agent's time namespace, with their origin. */
export async function measureClocks(agent: Agent): Promise<HostClocks> {
	const origin = clockOriginOf(agent.pid) ?? { boot: readBootId(), offsets: NO_OFFSETS };
	return { now: await readClocks(agent), origin };
}

/** Clocks of this boot at a file's mtime, with their origin. */
export type ClocksThen = Clocks & Pick<ProcessClocks, "origin">;

/**
 * Our clocks at a file's mtime; unknown if that was before this boot. Wrong if the mtime or the time of day was changed since.
 *
 * @param written nanoseconds since 1970.
 */
export function clocksWhenWritten(written: bigint): ClocksThen | undefined {
	const passed = ageOf(written);
	const monotonic = process.hrtime.bigint() - passed;
	const boottime = uptimeNow() - passed;
	if (monotonic <= 0n || boottime <= 0n) return undefined;
	const origin = clockOriginOf("self");
	return { monotonic, boottime, ...defined({ origin }) };
}

/**
 * The clocks of other time namespaces of this boot at that time: the initial one, a given one (a donor's), and those of all
 * processes that we may read.
 *
 * @param written nanoseconds since 1970.
 */
export function otherClocksWhenWritten(written: bigint, known?: ClockOrigin): ClocksThen[] {
	const ours = clockOriginOf("self");
	if (ours === undefined) return [];
	const passed = ageOf(written);
	const machine: ClockOrigin = { boot: ours.boot, offsets: NO_OFFSETS };
	const origins = [machine, ...(known?.boot === ours.boot ? [known] : []), ...originsOfOthers()];
	return origins
		.filter((origin, i) => ![ours, ...origins.slice(0, i)].some((other) => sameOrigin(origin, other)))
		.map((origin) => ({
			monotonic: process.hrtime.bigint() - passed - ours.offsets.monotonic + origin.offsets.monotonic,
			boottime: uptimeNow() - passed - ours.offsets.boottime + origin.offsets.boottime,
			origin,
		}))
		.filter(({ monotonic, boottime }) => monotonic > 0n && boottime > 0n);
}

/** How many time namespaces of others are looked at. */
const MOST_NAMESPACES = 16;

/** One for each time namespace of a running process but ours; processes that we may not read are skipped. */
function originsOfOthers(): ClockOrigin[] {
	const namespaceOf = (pid: number | "self"): string | undefined => ifShown(() => readNamespace(pid, "time"));
	const found = new Map<string | undefined, ClockOrigin | undefined>([
		[undefined, undefined],
		[namespaceOf("self"), undefined],
	]);
	for (const pid of processes()) {
		if (found.size >= MOST_NAMESPACES) break;
		const namespace = namespaceOf(pid);
		if (!found.has(namespace)) found.set(namespace, clockOriginOf(pid));
	}
	return [...found.values()].filter((origin) => origin !== undefined);
}

function ageOf(written: bigint): bigint {
	const age = BigInt(Date.now()) * 1_000_000n - written;
	return age > 0n ? age : 0n;
}

const uptimeNow = (): bigint => BigInt(Math.round(uptime() * 1e9));
