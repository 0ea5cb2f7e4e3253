import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Agent } from "../agent/agent.ts";
import { AGENT_ROOM } from "../agent/layout.ts";
import { startAgent } from "../agent/start-agent.ts";
import { address } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import type { Range } from "../bytes/range.ts";
import { attempt } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { KEYCTL, KEYRING } from "../linux/credentials.ts";
import { ENOSYS, EPERM, failedWith } from "../linux/errno.ts";
import { maskFrom } from "../linux/mempolicy.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import { readLimits } from "../proc/limits.ts";
import { pathOfMemory } from "../proc/links.ts";
import { readMaps, vdsoAreas } from "../proc/maps.ts";
import { readStatus } from "../proc/status.ts";
import { knowsMemfdNoexec } from "../proc/sys.ts";
import { measureClocks } from "./clocks.ts";
import { measureCpu } from "./cpu.ts";
import { hugePagesWorth } from "./huge-pages.ts";
import { probeTimeNamespace } from "./probe-clocks.ts";

/**
 * What a plan has to know of this host. System calls that Node lacks are made by `agent`, or by a temporary one.
 *
 * @throws NecromancerError ERR_HOST, ERR_IO where /proc is not mounted.
 */
export async function measureHost(agent?: Agent): Promise<HostFacts> {
	const { xcr0, xstate, keyrings, clone3, clocks, ...more } = await (agent === undefined
		? withAgent(measureForNobody)
		: measureByAgent(agent));
	return {
		xstate,
		xcr0,
		vdso: measureVdso(),
		hugePages: hugePagesWorth(),
		processors: availableParallelism(),
		...maskAt("online", "/sys/devices/system/cpu/online"),
		...maskAt("nodes", "/sys/devices/system/node/has_memory"),
		keyrings,
		memfdExec: knowsMemfdNoexec(),
		clone3,
		limits: readLimits("self"),
		...measureUser(agent),
		clocks,
		...more,
	};
}

/** Whom the restorer runs as, and with what rights. */
export function measureUser(agent?: Agent): Required<Pick<HostFacts, "user" | "capabilities">> {
	const { permitted, bounding, uids, gids, groups } = readStatus(agent?.pid ?? "self");
	return { user: { uid: uids[1], gid: gids[1], groups }, capabilities: { permitted, bounding } };
}

/** For a plan that is only printed: namespaces are probed. For a restore, restore/clocks.ts makes them. */
async function measureForNobody(agent: Agent) {
	const noTimeNamespace = await probeTimeNamespace(agent);
	return { ...(await measureByAgent(agent)), ...defined({ noTimeNamespace }) };
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

/** Asks for the thread keyring without creating one. */
async function hasKeyrings(agent: Agent): Promise<boolean> {
	const args = [KEYCTL.GET_KEYRING_ID, KEYRING.THREAD, 0, 0, 0] as const;
	return !failedWith(await agent.call("keyctl", ...args), EPERM, ENOSYS);
}

/** An address range that is free in any new process. */
export const ANYWHERE: Range = { start: address(0x2000_0000_0000n), end: address(0x2000_0000_0000n + 2n * AGENT_ROOM) };

/** Runs something with a temporary agent. */
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
	const areas = vdsoAreas(readMaps("self"));
	const vdso = areas.at(-1);
	const first = areas[0];
	if (vdso === undefined || first === undefined) {
		return refuse("ERR_HOST", {
			subject: "kernel",
			finding: "maps no [vdso]",
			expectation: "expected one that was not started with vdso=0",
		});
	}
	const image = Buffer.alloc(Number(vdso.end - vdso.start));
	const memory = pathOfMemory("self");
	const fd = attempt(memory, () => openSync(memory, "r"));
	try {
		attempt(memory, () => readSync(fd, image, 0, image.length, vdso.start));
	} finally {
		closeSync(fd);
	}
	return { image, vvarLength: vdso.start - first.start };
}
