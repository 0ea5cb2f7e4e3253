import { readFileSync, readlinkSync } from "node:fs";
import { uptime } from "node:os";
import { attempt } from "../bytes/source.ts";
import { CLOCK, type Clocks, nanosecondsOf, timespec } from "../linux/time.ts";
import { readTimensOffsets } from "../linux/timens-offsets.ts";
import type { ClockOrigin, HostClocks, ProcessClocks } from "../task/clocks.ts";
import type { Agent } from "./agent.ts";

/**
 * Clocks that processes of this host share with `pid`; absent when its children are to get others: /proc tells only theirs.
 * A kernel without time namespaces has no offsets.
 */
export function clockOriginOf(pid: number | "self"): ClockOrigin | undefined {
	const link = (name: string): string | undefined => orNothing(() => readlinkSync(`/proc/${pid}/ns/${name}`));
	if (link("time") !== link("time_for_children")) return undefined;
	const text = orNothing(() => readFileSync(`/proc/${pid}/timens_offsets`, "latin1")) ?? "";
	return { boot: bootId(), offsets: readTimensOffsets(text) };
}

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

const bootId = (): string => attempt(BOOT_ID, () => readFileSync(BOOT_ID, "latin1")).trim();

/** Reads the clocks now, by the agent: Node knows of one only. */
export async function readClocks(agent: Agent): Promise<Clocks> {
	const errand = agent.errand();
	const [monotonic, boottime] = [CLOCK.MONOTONIC, CLOCK.BOOTTIME].map((clock) => {
		const place = errand.space(timespec.size);
		errand.call("clock_gettime", clock, place);
		return place;
	});
	const done = await agent.perform(errand);
	const time = (place: typeof monotonic): bigint =>
		place === undefined ? 0n : nanosecondsOf(timespec.decode(done.bytes(place)));
	return { monotonic: time(monotonic), boottime: time(boottime) };
}

/** The clocks as an agent sees them, who may be in a time namespace itself; and whose they are. */
export async function measureClocks(agent: Agent): Promise<HostClocks> {
	const origin = clockOriginOf(agent.pid) ?? { boot: bootId(), offsets: { monotonic: 0n, boottime: 0n } };
	return { now: await readClocks(agent), origin };
}

/**
 * What our clocks showed when a file was written; unknown when that was before this host started. Wrong where somebody
 * gave the file another time, or set the time of day since.
 *
 * @param written nanoseconds since 1970.
 */
export function clocksWhenWritten(written: bigint): (Clocks & Pick<ProcessClocks, "origin">) | undefined {
	const age = BigInt(Date.now()) * 1_000_000n - written;
	const passed = age > 0n ? age : 0n;
	const monotonic = process.hrtime.bigint() - passed;
	const boottime = BigInt(Math.round(uptime() * 1e9)) - passed;
	if (monotonic <= 0n || boottime <= 0n) return undefined;
	const origin = clockOriginOf("self");
	return { monotonic, boottime, ...(origin === undefined ? {} : { origin }) };
}

function orNothing<T>(read: () => T): T | undefined {
	try {
		return read();
	} catch {
		return undefined;
	}
}
