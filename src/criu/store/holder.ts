import { hostname } from "node:os";
import { ifShown } from "../../proc/if-shown.ts";
import { readNamespace } from "../../proc/namespaces.ts";
import { readStat } from "../../proc/stat.ts";
import { readBootId } from "../../proc/sys.ts";

/**
 * A process that works on a directory, identified in the name of its lock file: creating a name is atomic, writing contents is
 * not. A pid alone is reused, and differs between pid namespaces and hosts.
 */
export interface Holder {
	readonly pid: number;
	/** Ticks from boot to its start (proc_pid_stat(5), field 22). */
	readonly start: string;
	/** The pid namespace, by its inode number. */
	readonly namespace: string;
	/** The boot, by the beginning of /proc/sys/kernel/random/boot_id. */
	readonly boot: string;
	/** Letters, digits, `-` and `_`. */
	readonly host: string;
}

/** This process. */
export const ourselves = (): Holder => ({
	pid: process.pid,
	start: `${ifShown(() => readStat("self"))?.startTime ?? 0}`,
	namespace: /\d+/.exec(ifShown(() => readNamespace("self", "pid")) ?? "")?.[0] ?? "0",
	boot: bootId(),
	host:
		hostname()
			.replace(/[^\w-]/g, "_")
			.slice(0, 64) || "_",
});

/** As part of a file name. */
export const textOf = ({ pid, start, namespace, boot, host }: Holder): string =>
	[pid, start, namespace, boot, host].join(".");

export function holderIn(text: string): Holder | undefined {
	const found = /^([1-9]\d{0,9})\.(\d{1,20})\.(\d{1,20})\.([\da-f]{1,8})\.([\w-]{1,64})$/.exec(text);
	if (found === null) return undefined;
	const [, pid = "", start = "", namespace = "", boot = "", host = ""] = found;
	return { pid: Number(pid), start, namespace, boot, host };
}

/**
 * Whether a holder still runs. `unknown` when it lives, or lived, where we cannot look: on another host that shares
 * the file system, or in another pid namespace.
 */
export function fateOf(holder: Holder, us: Holder = ourselves()): "alive" | "dead" | "unknown" {
	if (holder.host === us.host && holder.boot !== us.boot) return "dead";
	if (holder.boot !== us.boot || holder.namespace !== us.namespace) return "unknown";
	try {
		process.kill(holder.pid, 0);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === "ESRCH") return "dead";
	}
	const stat = ifShown(() => readStat(holder.pid));
	// /proc mounted with hidepid shows nothing of other users' processes, yet kill(2) found it
	if (stat === undefined) return "alive";
	return `${stat.startTime}` === holder.start && !/[ZXx]/.test(stat.state) ? "alive" : "dead";
}

const bootId = (): string => (ifShown(readBootId) ?? "0").slice(0, 8).toLowerCase();
