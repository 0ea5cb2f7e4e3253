import type { Agent } from "../agent/agent.ts";
import type { Slot, SyscallBatch } from "../agent/batch.ts";
import { addSpawn, registerKills } from "../agent/spawn.ts";
import { defined } from "../bytes/defined.ts";
import { viewOf } from "../bytes/layout.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { F, FD_CLOEXEC } from "../linux/fcntl.ts";
import { PR } from "../linux/prctl.ts";
import { limitNumber, rlimit64 } from "../linux/resource.ts";
import { SIG_SETMASK, SIGKILL, SIGSET_BYTES } from "../linux/signal.ts";
import { readLimit } from "../proc/limits.ts";
import { AGENT_FD, contextLayout, REPORT_FD } from "../program/abi.ts";

/** A program to run. */
export interface ProgramToRun {
	/** Absolute, as nobody looks it up. */
	readonly path: string;
	/** Without argument 0, which is the path. */
	readonly args: readonly string[];
	readonly env: Readonly<Record<string, string>>;
}

/**
 * Has an agent run a program, as its child: so the agent may trace it even where only ancestors may (Yama). The agent's undo
 * list kills it when we end; PR_SET_PDEATHSIG does when the agent is killed, unless the program changed its credentials. Its
 * standard streams are the agent's. The kernel writes no core of it, to a file or a pipe.
 *
 * @returns its pid.
 * @throws NecromancerError ERR_HOST where it cannot be run.
 */
export async function runProgram(agent: Agent, { path, args, env }: ProgramToRun): Promise<number> {
	const batch = agent.batch();
	const list = batch.list();
	// for when the agent itself is killed
	list.call("prctl", [PR.SET_PDEATHSIG, SIGKILL]);
	// the agent blocks all signals, and execve(2) keeps the mask
	list.call("rt_sigprocmask", [SIG_SETMASK, batch.put(Buffer.alloc(Number(SIGSET_BYTES))), 0, SIGSET_BYTES]);
	// folklore: RLIMIT_CORE of 0 does not keep the kernel from piping a core to a handler; 1 does (fs/coredump.c, do_coredump)
	const hard = coreLimit();
	const limit = batch.put(rlimit64.encode({ rlim_cur: hard === 0n ? 0n : 1n, rlim_max: hard }));
	list.call("prlimit64", [0, limitNumber("CORE"), limit, 0]);
	list.call("close", [AGENT_FD]);
	list.call("fcntl", [REPORT_FD, F.SETFD, FD_CLOEXEC]);
	const words = [path, ...args].map((word) => textIn(batch, word));
	const environment = Object.entries(env).map(([name, value]) => textIn(batch, `${name}=${value}`));
	const program = textIn(batch, path);
	list.call("execve", [program, vectorIn(batch, words), vectorIn(batch, environment)]);
	const context = batch.put(contextLayout.encode({ report_fd: BigInt(REPORT_FD), task: 0n }));
	// PR_SET_PDEATHSIG is cleared by an exec that changes credentials, and the program may clear it (prctl(2))
	const [store] = await registerKills(agent, 1);
	const { at } = addSpawn(batch, agent, {
		...{ context, steps: { list } },
		...defined({ store }),
	});
	await agent.perform(batch, { patience: 20_000, doing: "making a process" });
	const pid = (await agent.run({ reply: { at, length: 8 } })).reply.readBigInt64LE();
	if (pid < 0n)
		return refuse("ERR_HOST", {
			subject: path,
			finding: `no process can be made for it: clone failed with ${errnoName(Number(pid))}`,
			expectation: "expected to be allowed one more",
		});
	// then only the child holds the other end, until its execve(2)
	await agent.call("close", REPORT_FD);
	const report = await agent.reports.next();
	if (report === undefined) return Number(pid);
	return refuse("ERR_HOST", {
		subject: path,
		finding: `cannot be run: ${errnoName(Number(report.result))}`,
		expectation: "expected a program",
	});
}

/** The hard limit of our own, which is the agent's too. Where that is 0 bytes, 1 cannot be had. */
const coreLimit = (): bigint => readLimit("self", "CORE").hard;

const textIn = (batch: SyscallBatch, text: string): Slot => batch.put(Buffer.from(`${text}\0`), 1);

/** A vector of pointers, with its NULL. */
function vectorIn(batch: SyscallBatch, texts: readonly Slot[]): Slot {
	const bytes = new Uint8Array(8 * (texts.length + 1));
	for (const [i, { at }] of texts.entries()) viewOf(bytes).setBigUint64(8 * i, at, true);
	return batch.put(bytes);
}
