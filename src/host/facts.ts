import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Agent } from "../agent/agent.ts";
import { AGENT_ROOM } from "../agent/layout.ts";
import { startAgent } from "../agent/start-agent.ts";
import { address } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { attempt } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { ENOSYS, EPERM } from "../linux/errno.ts";
import { KEYCTL, KEYRING } from "../linux/keyctl.ts";
import { maskFrom } from "../linux/mempolicy.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import { measureClocks } from "./clocks.ts";
import { measureCpu } from "./cpu.ts";
import { hugePagesWorth } from "./huge-pages.ts";
import { probeTimeNamespace } from "./probe-clocks.ts";

/**
 * What a plan has to know of this host. What only a program of machine code can ask is asked by `agent`, or by one made for the
 * moment.
 *
 * @throws NecromancerError ERR_HOST, ERR_IO where /proc is not mounted.
 */
export async function measureHost(agent?: Agent): Promise<HostFacts> {
	const { xcr0, xstate, keyrings, clone3, clocks, ...more } = await (agent === undefined
		? withAgent(measureForNobody)
		: measureByAgent(agent));
	const status = readProc(`/proc/${agent?.pid ?? "self"}/status`);
	return {
		xstate,
		xcr0,
		vdso: measureVdso(),
		hugePages: hugePagesWorth(),
		processors: availableParallelism(),
		...maskAt("online", "/sys/devices/system/cpu/online"),
		...maskAt("nodes", "/sys/devices/system/node/has_memory"),
		keyrings,
		memfdExec: existsSync("/proc/sys/vm/memfd_noexec"),
		clone3,
		limits: limitsFrom(readProc("/proc/self/limits")),
		user: userFrom(status),
		capabilities: capabilitiesFrom(status),
		clocks,
		...more,
	};
}

/** Where nothing is to be made, what could be is tried; else that is up to who makes the namespaces (restore/clocks.ts). */
async function measureForNobody(agent: Agent) {
	const noTimeNamespace = await probeTimeNamespace(agent);
	return { ...(await measureByAgent(agent)), ...(noTimeNamespace === undefined ? {} : { noTimeNamespace }) };
}

const measureByAgent = async (agent: Agent) => ({
	...(await measureCpu(agent)),
	keyrings: await hasKeyrings(agent),
	clone3: agent.clone3,
	clocks: await measureClocks(agent),
});

/** A list such as `0-3,5`; nothing where it is not told. */
function maskAt<Name extends string>(name: Name, path: string): { readonly [_ in Name]?: bigint } {
	try {
		const mask = maskFrom(readFileSync(path, "latin1"));
		return mask === 0n ? {} : ({ [name]: mask } as { readonly [_ in Name]: bigint });
	} catch {
		return {};
	}
}

const NOT_FOR_US: readonly bigint[] = [EPERM, ENOSYS].map((errno) => BigInt(-errno));

/** Asked of the thread's own keyring, which nobody has unless he made one. */
async function hasKeyrings(agent: Agent): Promise<boolean> {
	const args = [KEYCTL.GET_KEYRING_ID, KEYRING.THREAD, 0, 0, 0] as const;
	return !NOT_FOR_US.includes(await agent.call("keyctl", ...args));
}

/** Effective ids and supplementary groups of a /proc/PID/status, as the reader's user namespace calls them. */
export function userFrom(status: string): NonNullable<HostFacts["user"]> {
	const numbers = (name: string): readonly number[] =>
		(new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1] ?? "").split(/\s+/).filter(Boolean).map(Number);
	const [, uid = 0] = numbers("Uid");
	const [, gid = 0] = numbers("Gid");
	return { uid, gid, groups: numbers("Groups") };
}

/** A place that is free in any new process. */
export const ANYWHERE: Range = { start: address(0x2000_0000_0000n), end: address(0x2000_0000_0000n + 2n * AGENT_ROOM) };

/** Lends an agent that is gone afterwards. */
export async function withAgent<T>(use: (agent: Agent) => Promise<T>): Promise<T> {
	const agent = await startAgent(ANYWHERE, { streams: "ignore" });
	try {
		return await use(agent);
	} finally {
		await agent.close();
	}
}

/** Our own: every process of this kernel has the same bytes. */
function measureVdso(): HostFacts["vdso"] {
	const areas = vdsoAreas(readProc("/proc/self/maps"));
	const vdso = areas.at(-1);
	const first = areas[0];
	if (vdso === undefined || first === undefined) {
		return refuse("ERR_HOST", {
			subject: "/proc/self/maps",
			finding: "has no [vdso]",
			expectation: "expected a kernel that was not started with vdso=0",
		});
	}
	const image = Buffer.alloc(Number(vdso.end - vdso.start));
	const fd = attempt("/proc/self/mem", () => openSync("/proc/self/mem", "r"));
	try {
		attempt("/proc/self/mem", () => readSync(fd, image, 0, image.length, vdso.start));
	} finally {
		closeSync(fd);
	}
	return { image, vvarLength: vdso.start - first.start };
}

/** The ranges of a /proc/PID/maps that belong to the vdso, which is the last: ascending and without gaps. */
export function vdsoAreas(maps: string): readonly Range[] {
	return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) .* \[(?:vvar|vvar_vclock|vdso)\]$/gm)].map(
		([, start = "0", end = "0"]) => ({ start: address(BigInt(`0x${start}`)), end: address(BigInt(`0x${end}`)) }),
	);
}

/** The rows of /proc/PID/limits, whose order is that of the RLIMIT_ numbers (fs/proc/base.c, lnames). */
export const limitsFrom = (text: string): HostFacts["limits"] =>
	text
		.split("\n")
		.slice(1)
		.filter((line) => line !== "")
		.map((line) => {
			const [, soft = "", hard = ""] = /^Max .*?\s{2,}(\S+)\s+(\S+)/.exec(line) ?? [];
			return { soft: limit(soft), hard: limit(hard) };
		});

/** The sets of /proc/PID/status. */
export function capabilitiesFrom(status: string): NonNullable<HostFacts["capabilities"]> {
	const set = (name: string): bigint =>
		BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0"}`);
	return { permitted: set("CapPrm"), bounding: set("CapBnd") };
}

/** RLIM_INFINITY is all ones. */
const limit = (text: string): bigint => (text === "unlimited" ? (1n << 64n) - 1n : BigInt(text));

const readProc = (path: string): string => attempt(path, () => readFileSync(path, "latin1"));
