import type { Agent } from "../agent/agent.ts";
import { EVERY_BIT, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { UNDO_SIZE } from "../agent/layout.ts";
import { plus } from "../bytes/address.ts";
import { u32, u64 } from "../bytes/layout.ts";
import { bytesFromText, zeroEnded } from "../bytes/text.ts";
import { leadsOn, placeOf, type SocketPlace } from "../descriptors/unix-description.ts";
import type { Task } from "../forest/task.ts";
import { addAsUser } from "../inputs/as-user.ts";
import { ECONNREFUSED } from "../linux/errno.ts";
import { AT } from "../linux/fcntl.ts";
import { AF_UNIX } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { SOCK } from "../linux/socket.ts";
import { S_IFMT, S_IFSOCK, STATX, statx } from "../linux/stat.ts";
import { encodeUnixAddress } from "../linux/unix.ts";
import type { OpenedInput } from "../plan/inputs.ts";
import type { Opener } from "../plan/opener.ts";

/** Where the file of a unix socket is made. */
export interface BoundPlace extends Pick<SocketPlace, "name"> {
	/** The agent's descriptor of the directory. */
	readonly directory: number;
	/** Users whose it may be while it is made. */
	readonly owners: ReadonlySet<number>;
	/** As whom it is made. */
	readonly opener: Opener;
}

/** @param opener as whom the processes open their files. */
export function boundPlaces(
	tasks: readonly Task[],
	opened: readonly OpenedInput[],
	opener: Opener,
): readonly BoundPlace[] {
	const { caller, user } = opener;
	const places = new Map<string, BoundPlace>();
	for (const { files } of tasks)
		for (const { description } of files.descriptors) {
			if (description.kind !== "unix-socket") continue;
			const place = placeOf(description);
			const input = opened.find(({ path, use }) => use === "node" && path === place?.directory);
			if (place === undefined || input === undefined) continue;
			const makers = [caller.uid, user.uid];
			const owners = new Set([...makers, ...(description.file === undefined ? [] : [description.file.uid])]);
			places.set(`${input.number} ${place.name}`, {
				...{ directory: input.number, name: place.name, owners },
				opener: input.lent && !leadsOn(place) ? { ...opener, same: true } : opener,
			});
		}
	return [...places.values()];
}

/** Bytes of the calls for one, of those that become its user and leave him, without his groups, and of what they refer to. */
const [MOST_OF_ONE, MOST_OF_SWITCHES] = [2048, 2048];

/**
 * Adds calls that remove the files of sockets whose processes have ended: sockets that nobody is bound to. Whoever lives keeps his, and
 * what is no socket stays. It acts as who made them: what is in that directory by now may lead elsewhere. The agent is in another
 * directory afterwards. It does this for as many as an undo list has room for.
 */
export function addUnbinding(batch: SyscallBatch, places: readonly BoundPlace[]): void {
	const look = batch.space(statx.size);
	for (const place of places) {
		const { user, caller, same } = place.opener;
		const switches = MOST_OF_SWITCHES + (user.groups.length + caller.groups.length) * u32.size;
		if (BigInt(batch.taken + MOST_OF_ONE + (same ? 0 : switches)) > UNDO_SIZE) return;
		addAsUser(batch, place.opener, () => addOne(batch, place, look));
	}
}

function addOne(batch: SyscallBatch, { directory, name, owners }: BoundPlace, look: Slot): void {
	const [end, owned, socket, dead] = [label("the end"), label("theirs"), label("a socket"), label("nobody's")];
	const path = batch.put(zeroEnded(name), 1);
	const field = (of: "stx_mode" | "stx_uid") => ({
		valueOf: { at: plus(look.at, BigInt(statx.offsetOf(of))), size: u64.size },
	});
	batch.call("statx", directory, path, AT.SYMLINK_NOFOLLOW, STATX.BASIC, look);
	batch.branch(field("stx_mode"), S_IFMT, S_IFSOCK, socket);
	batch.jump(end);
	batch.mark(socket);
	for (const uid of owners) batch.branch(field("stx_uid"), 0xffff_ffffn, uid, owned);
	batch.jump(end);
	batch.mark(owned);
	// its name there is short enough for an address, as its path was
	const address = encodeUnixAddress(bytesFromText(name));
	batch.call("fchdir", directory);
	const asker = { valueOf: batch.call("socket", AF_UNIX, SOCK.DGRAM | O.CLOEXEC | O.NONBLOCK, 0) };
	const answer = { valueOf: batch.call("connect", asker, batch.put(address), address.length) };
	batch.call("close", asker);
	batch.branch(answer, EVERY_BIT, BigInt(-ECONNREFUSED), dead);
	batch.jump(end);
	batch.mark(dead);
	batch.call("unlinkat", directory, path, 0);
	batch.mark(end);
}

/** Removes the files of sockets whose processes have ended. */
export async function unbind(agent: Agent, places: readonly BoundPlace[]): Promise<void> {
	for (const place of places) {
		const batch = agent.batch();
		addUnbinding(batch, [place]);
		await agent.perform(batch);
	}
}
