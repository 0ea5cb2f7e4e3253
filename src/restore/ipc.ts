import type { Agent } from "../agent/agent.ts";
import { bytesOf } from "../bytes/extent.ts";
import { refuse } from "../errors.ts";
import type { Forest } from "../forest/forest.ts";
import type { IpcNamespace, IpcObject, MessageQueue } from "../forest/ipc.ts";
import { type IpcListing, readIpcNamespace } from "../host/ipc-namespace.ts";
import { errnoName } from "../linux/errno.ts";
import { ipcSettingNames } from "../linux/ipc.ts";
import { CLONE } from "../linux/sched.ts";

/** That of all its processes. @throws NecromancerError ERR_UNSUPPORTED where they have several. */
function namespaceOf({ processes: [root, ...others] }: Forest): IpcNamespace | undefined {
	const other = others.find(({ ipc }) => ipc !== root?.ipc);
	if (other !== undefined)
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${other.identity.pid}`,
			finding: `is in another IPC namespace than process ${root?.identity.pid}`,
			expectation: "expected one for all",
			remedy: "go on without: --allow-lost ipc",
		});
	return root?.ipc;
}

/**
 * Moves an agent into a new IPC namespace, in which the plan makes what was in the process's. It goes with its last process.
 *
 * @throws NecromancerError ERR_HOST where we may not make one.
 */
export async function enterIpcNamespace(agent: Agent, forest: Forest): Promise<void> {
	const ipc = namespaceOf(forest);
	if (ipc === undefined) return;
	const made = await agent.call("unshare", CLONE.NEWIPC);
	if (made < 0n)
		refuse("ERR_HOST", {
			subject: "IPC namespace",
			finding: `unshare failed with ${errnoName(Number(made))}`,
			expectation: "expected to make one: the process had one of its own",
			remedy:
				"be root or have CAP_SYS_ADMIN, restore into a new pid namespace with --pid-namespace, or go on without: --allow-lost ipc",
		});
}

/**
 * Looks at what the plan has made in the agent's IPC namespace, which is the process's. Bytes of segments are not compared.
 *
 * @throws NecromancerError ERR_RESTORE_FAILED
 */
export async function verifyIpc(agent: Agent, forest: Forest): Promise<void> {
	const ipc = namespaceOf(forest);
	if (ipc === undefined) return;
	const differences = ipcDifferences(ipc, await readIpcNamespace(agent));
	if (differences.length > 0)
		refuse("ERR_RESTORE_FAILED", {
			subject: "IPC namespace",
			finding: differences.slice(0, 5).join("; "),
			expectation: "expected System V's objects as planned",
		});
}

/** What is otherwise in a namespace than it should be, in words. Owners are not compared: the plan says where they cannot be given. */
export function ipcDifferences(wanted: IpcNamespace, found: IpcListing): string[] {
	const numbers = (values: readonly bigint[] | undefined): string => values?.join(" ") ?? "the kernel's";
	return [
		...ipcSettingNames.flatMap((name) => {
			const [is, was] = [numbers(found.settings[name]), numbers(wanted.settings[name])];
			return is === was ? [] : [`${name} is ${is}, expected ${was}`];
		}),
		...compared("segment", wanted.segments, found.segments, ({ size }) => `${size} bytes`),
		...compared("semaphores", wanted.semaphores, found.semaphores, ({ values }) => `values ${values.join(" ")}`),
		...compared("queue", wanted.queues, found.queues, queueText),
	];
}

const queueText = ({ capacity, messages }: MessageQueue): string =>
	`room for ${capacity} bytes, messages ${messages.map(({ type, text }) => `${type}:${bytesOf(text)?.toString("hex")}`).join(" ")}`;

function compared<W extends IpcObject, F extends IpcObject>(
	what: string,
	wanted: readonly W[],
	found: readonly F[],
	text: (object: W | F) => string,
): string[] {
	const look = (object: W | F): string => `key ${object.key}, mode 0${object.mode.toString(8)}, ${text(object)}`;
	const there = new Map(found.map((object) => [object.id, object]));
	const differences = wanted.flatMap((object) => {
		const actual = there.get(object.id);
		there.delete(object.id);
		if (actual === undefined) return [`${what} ${object.id} is not there`];
		return look(actual) === look(object) ? [] : [`${what} ${object.id} has ${look(actual)}, expected ${look(object)}`];
	});
	return [...differences, ...[...there.keys()].map((id) => `${what} ${id} is there, and was not planned`)];
}
