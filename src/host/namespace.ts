import type { Agent } from "../agent/agent.ts";
import type { Slot } from "../agent/batch.ts";
import { addSpawn } from "../agent/spawn.ts";
import { TASK_SIZE } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { POLLIN, pollfd } from "../linux/poll.ts";
import { PR } from "../linux/prctl.ts";
import { CLONE } from "../linux/sched.ts";
import { kernelSigaction, SIG_IGN, SIGCHLD, SIGSET_BYTES } from "../linux/signal.ts";
import { WAIT } from "../linux/wait.ts";
import { writeOneUser } from "../proc/namespaces.ts";
import { contextLayout, NO_REPORTS } from "../program/abi.ts";

/** The one user and the one group of a user namespace. */
export interface NamespaceUser {
	readonly uid: number;
	readonly gid: number;
}

/**
 * Has an agent unshare(CLONE_NEWPID): its future children are in a new pid namespace, the agent is not. Without CAP_SYS_ADMIN a
 * user namespace is made too, with all capabilities, in which `user` maps to our uid outside: an ordinary user may map only his
 * own ids.
 *
 * @returns the user namespace's user, if one was made.
 * @throws NecromancerError ERR_HOST where neither is allowed.
 */
export async function enterPidNamespace(agent: Agent, user: NamespaceUser): Promise<NamespaceUser | undefined> {
	const plain = await agent.call("unshare", CLONE.NEWPID);
	if (plain === 0n) return undefined;
	const both = await enterUserNamespace(agent, user, CLONE.NEWPID);
	if (both < 0n) refuseNamespace(`unshare failed with ${errnoName(Number(both))}`);
	return user;
}

/**
 * Moves an agent into a user namespace, with all capabilities, in which `user` maps to our uid outside.
 *
 * @param flags CLONE_ flags of what else it is to unshare.
 * @returns 0, or -errno of unshare(2).
 * @throws NecromancerError ERR_HOST where the user cannot be mapped.
 */
export async function enterUserNamespace(agent: Agent, user: NamespaceUser, flags = 0): Promise<bigint> {
	const entered = await agent.call("unshare", CLONE.NEWUSER | flags);
	if (entered < 0n) return entered;
	mapUser(agent.pid, user);
	return entered;
}

function mapUser(pid: number, { uid, gid }: NamespaceUser): void {
	const [ourUid, ourGid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
	const denied = writeOneUser(pid, { inside: uid, outside: ourUid }, { inside: gid, outside: ourGid });
	if (denied !== undefined) refuseNamespace(`writing its ${denied.file} failed with ${denied.code}`);
}

const refuseNamespace = (finding: string): never =>
	refuse("ERR_HOST", {
		subject: "pid namespace",
		finding,
		expectation: "expected to make one, with a user namespace around it",
		remedy:
			"be root, allow user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, " +
			"kernel.apparmor_restrict_unprivileged_userns), or restore with --fresh-ids",
	});

/** The first process of a pid namespace. */
export interface Init {
	/** In our pid namespace. When it ends, the kernel kills all processes of the namespace. */
	readonly pid: number;
	/** Lets it open a pidfd of the restored process, which exists by now. */
	watch(): Promise<void>;
}

/**
 * Makes the init of a new pid namespace. Not the restored process: the kernel drops signals to an init (SIGNAL_UNKILLABLE),
 * even those of its own faults. It lives as long as process `pid` and any children that this one leaves: it reaps orphans, and
 * exits with the last. It has only the fds it waits on, the blob's memory, a session of its own, and / as working directory.
 *
 * The restored process is a child of the agent, outside, and is reparented there, not to init, when the agent exits
 * (find_child_reaper, kernel/exit.c). So init learns of its end by a pidfd.
 *
 * @param pid inside.
 * @param store where init's pid in our namespace goes: see {@link registerKills}.
 * @throws NecromancerError ERR_HOST when it cannot be made.
 */
export async function startInit(agent: Agent, pid: number, store?: Slot): Promise<Init> {
	const ends = Buffer.alloc(8);
	await agent.call("pipe2", ends, 0);
	const [reading, writing] = [ends.readInt32LE(0), ends.readInt32LE(4)];
	const { blob, free } = agent.layout;
	const batch = agent.batch();
	const list = batch.list();
	const ignored = kernelSigaction.encode({ sa_handler: SIG_IGN, sa_flags: 0n, sa_restorer: 0n, sa_mask: 0n });
	list.call("prctl", [PR.SET_NAME, batch.put(Buffer.from("necromancer\0"))]);
	list.call("setsid", []);
	list.call("chdir", [batch.put(Buffer.from("/\0"))], { anyway: true });
	// orphans of the process vanish by themselves while it lives (sigaction(2), on SIG_IGN for SIGCHLD)
	list.call("rt_sigaction", [SIGCHLD, batch.put(ignored), 0, SIGSET_BYTES]);
	list.call("dup2", [reading, 0]);
	list.call("close_range", [1, 0xffff_ffff, 0]);
	list.call("munmap", [0, blob], { anyway: true });
	list.call("munmap", [free.end, TASK_SIZE - free.end], { anyway: true });
	// a byte, or end of file when the agent has ended: then `pid` may not exist
	list.call("read", [0, batch.space(8), 1]);
	list.call("close", [0]);
	// 0, the lowest free
	list.call("pidfd_open", [pid, 0]);
	list.call("poll", [batch.put(pollfd.encode({ fd: 0, events: POLLIN, revents: 0 })), 1, -1]);
	list.call("wait4", [-1, 0, WAIT.ALL, 0], { repeat: true });
	list.call("exit_group", [0]);
	const context = batch.put(contextLayout.encode({ report_fd: NO_REPORTS, task: 1n }));
	const { at } = addSpawn(batch, agent, {
		context,
		steps: { list },
		...defined({ store }),
	});
	await agent.perform(batch, { doing: "making a first process" });
	const init = (await agent.run({ reply: { at, length: 8 } })).reply.readBigInt64LE();
	if (init < 0n)
		refuse("ERR_HOST", {
			subject: "pid namespace",
			finding: `clone3 of its first process failed with ${errnoName(Number(init))}`,
			expectation: "expected to make one",
		});
	return {
		pid: Number(init),
		watch: async () => {
			await agent.call("write", writing, Buffer.from([1]), 1);
			for (const end of [reading, writing]) await agent.call("close", end);
		},
	};
}

/** Waits briefly for init to exit, and reaps it. If it still has orphans to wait for, it is left running. */
export async function reapInit(agent: Agent, { pid }: Init): Promise<void> {
	const fd = await agent.call("pidfd_open", pid, 0);
	if (fd < 0n) return;
	await agent.call("poll", pollfd.encode({ fd: Number(fd), events: POLLIN, revents: 0 }), 1, MOMENT);
	await agent.call("wait4", pid, 0, WAIT.ALL | WAIT.NOHANG, 0);
}

/** Milliseconds. */
const MOMENT = 200;
