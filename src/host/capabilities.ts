import type { Agent } from "../agent/agent.ts";
import { PAGE_SIZE } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { CAP, capabilityName, includesCapability } from "../linux/credentials.ts";
import { MADV } from "../linux/mman.ts";
import { ARCH, PR, PR_SET_MM, prctlMmMap } from "../linux/prctl.ts";
import { limitNumber, rlimit64 } from "../linux/resource.ts";
import { readMaps, vdsoAreas } from "../proc/maps.ts";
import { type ProcStatus, readStatus } from "../proc/status.ts";
import { readPidMax } from "../proc/sys.ts";
import { withAgent } from "./facts.ts";
import { hugePagesMode, reportsFreePages } from "./huge-pages.ts";
import { errorText, inChild, type Obstacle } from "./probe.ts";
import { probeTimeNamespace } from "./probe-clocks.ts";
import { probePidNamespace } from "./probe-namespace.ts";
import { probeTracing } from "./probe-tracing.ts";

/** One thing that a restore makes use of. */
export interface Capability {
	/** `clone3 set_tid`, `CAP_SETUID`. */
	readonly name: string;
	readonly ok: boolean;
	/** What was found: an errno, a mode. */
	readonly found?: string;
	/** What is lost without it, in words. */
	readonly without: string;
}

/**
 * What this host allows this user. Everything is tried out in child processes, not concluded from version numbers.
 *
 * @throws NecromancerError ERR_HOST where not even an agent runs.
 */
export async function probeHost(): Promise<readonly Capability[]> {
	return withAgent(async (agent) => {
		const found: Capability[] = [];
		for (const { name, without, probe } of probes) {
			const obstacle = await probe(agent);
			found.push({ name, ok: obstacle === undefined, ...defined({ found: obstacle }), without });
		}
		const mode = hugePagesMode();
		const lost = reportsFreePages();
		found.push({
			name: "transparent huge pages",
			ok: mode !== "never" && !lost,
			found: lost ? "the host of this virtual machine takes free ones away" : mode,
			without: "memory is filled in pages of 4 KiB, which takes three times as long",
		});
		return [...found, ...heldCapabilities(readStatus(agent.pid))];
	});
}

interface Probe {
	readonly name: string;
	readonly without: string;
	readonly probe: (agent: Agent) => Promise<Obstacle>;
}

const probes: readonly Probe[] = [
	{
		name: "clone3 set_tid",
		without: "the process cannot have its process id and thread ids back, except in a new pid namespace",
		probe: async (agent) => {
			let obstacle: Obstacle;
			for (const pid of freePids()) {
				obstacle = await inChild(agent, (list) => list.call("alarm", [0]), { pids: [pid] });
				if (obstacle !== "EEXIST") return obstacle;
			}
			return obstacle ?? "no pid is free";
		},
	},
	{
		name: "PR_SET_MM_MAP with an executable",
		without: "/proc/PID/exe of the process names the wrong program",
		probe: (agent) =>
			inChild(agent, (list, batch) => {
				const at = agent.layout.free.start;
				const fd = list.call("open", [batch.put(Buffer.from("/proc/self/exe\0")), 0]);
				list.call("dup2", [{ valueOf: fd }, EXE_FD]);
				const map = prctlMmMap.encode({
					...{ start_code: at, end_code: at + PAGE_SIZE, start_data: at, end_data: at, start_brk: at, brk: at },
					...{ start_stack: at, arg_start: at, arg_end: at, env_start: at, env_end: at },
					...{ auxv: 0n, auxv_size: 0, exe_fd: EXE_FD },
				});
				return list.call("prctl", [PR.SET_MM, PR_SET_MM.MAP, batch.put(map), map.length, 0], { anyway: true });
			}),
	},
	{
		name: "ARCH_MAP_VDSO_64",
		without: "the process asks the kernel for the time by system calls, ten times slower",
		probe: (agent) =>
			inChild(agent, (list) => {
				const areas = vdsoAreas(readMaps(agent.pid));
				for (const { start, end } of areas) list.call("munmap", [start, end - start]);
				return list.call("arch_prctl", [ARCH.MAP_VDSO_64, areas[0]?.start ?? 0n], { anyway: true });
			}),
	},
	{
		name: "ptrace",
		without: "the restorer's own pages stay in the process, and its registers are not checked before it runs",
		probe: probeTracing,
	},
	{
		name: "PR_TIMER_CREATE_RESTORE_IDS",
		without: "POSIX timers get their ids by creating and deleting timers until the id comes up",
		probe: (agent) =>
			inChild(agent, (list) => list.call("prctl", [PR.TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0], { anyway: true })),
	},
	{
		name: "MADV_GUARD_INSTALL",
		without: "guard pages inside mappings are lost",
		probe: (agent) =>
			inChild(agent, (list) =>
				list.call("madvise", [agent.layout.free.start, PAGE_SIZE, MADV.GUARD_INSTALL], { anyway: true }),
			),
	},
	{
		name: "memfd_create",
		without: "shared anonymous memory cannot be restored",
		probe: async (agent) => {
			const fd = await agent.call("memfd_create", Buffer.from("probe\0"), 0);
			if (fd >= 0n) await agent.call("close", fd);
			return errorText(fd);
		},
	},
	{
		name: "pid namespace",
		without: "a pid namespace for the process needs a user namespace around it",
		probe: (agent) => probePidNamespace(agent),
	},
	{
		name: "user and pid namespaces",
		without: "only with privileges can a process have the ids back that it had",
		probe: (agent) => probePidNamespace(agent, { withUser: true }),
	},
	{
		name: "time namespace",
		without:
			"CLOCK_MONOTONIC of a process from another boot or host jumps: what sleeps until a time wakes late or at once",
		probe: async (agent) => (await probeTimeNamespace(agent)) && (await probeTimeNamespace(agent, { withUser: true })),
	},
	{
		name: "setgroups",
		without: "the process keeps our supplementary groups",
		probe: (agent) => inChild(agent, (list) => list.call("setgroups", [0, 0], { anyway: true })),
	},
	{
		name: "raising limits",
		without: "resource limits of the process that are above ours become ours",
		probe: (agent) =>
			inChild(agent, (list, batch) => {
				// lowering a limit takes no privilege
				list.call("prlimit64", [0, limitNumber("MSGQUEUE"), batch.put(limitWords(0n)), 0]);
				return list.call("prlimit64", [0, limitNumber("MSGQUEUE"), batch.put(limitWords(4096n)), 0], { anyway: true });
			}),
	},
	{
		name: "locking memory beyond the limit",
		without: "memory that was locked becomes swappable where our limit is lower",
		probe: (agent) =>
			inChild(agent, (list, batch) => {
				list.call("prlimit64", [0, limitNumber("MEMLOCK"), batch.put(limitWords(0n)), 0]);
				return list.call("mlock", [agent.layout.free.start, PAGE_SIZE], { anyway: true });
			}),
	},
	{
		name: "negative nice values",
		without: "real-time scheduling and priorities above the usual are lost",
		probe: (agent) => inChild(agent, (list) => list.call("setpriority", [0, 0, -20], { anyway: true })),
	},
];

/** Of equal soft and hard limit. */
const limitWords = (value: bigint): Uint8Array => rlimit64.encode({ rlim_cur: value, rlim_max: value });

const EXE_FD = 200;

/** Some free pids, from pid_max down: the kernel assigns the highest last. */
function freePids(): number[] {
	const max = readPidMax();
	return Array.from({ length: 16 }, (_, i) => max - 1 - 7 * i).filter((pid) => pid > 1 && !isTaken(pid));
}

function isTaken(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (cause) {
		return (cause as NodeJS.ErrnoException).code !== "ESRCH";
	}
}

/** Which of the capabilities that matter are in an effective set. */
export const heldCapabilities = ({ effective }: Pick<ProcStatus, "effective">): readonly Capability[] =>
	privileges.map(([bit, without]) => ({ name: capabilityName(bit), ok: includesCapability(effective, bit), without }));

const privileges: readonly (readonly [bit: number, without: string])[] = [
	[CAP.DAC_READ_SEARCH, "files that only their owner may read cannot be opened for the process"],
	[CAP.KILL, "signals of other users that were pending are lost"],
	[CAP.SETGID, "processes of other groups cannot be restored as what they were"],
	[CAP.SETUID, "processes of other users cannot be restored as what they were"],
	[CAP.SETPCAP, "the bounding set of the process is not narrowed again"],
	[CAP.SYS_PTRACE, "processes of other users cannot be traced"],
	[CAP.SYS_ADMIN, "namespaces need a user namespace around them"],
	[CAP.CHECKPOINT_RESTORE, "CAP_SYS_ADMIN is needed for process ids and the executable's name"],
];
