import type { Agent } from "../agent/agent.ts";
import { EVERY_BIT, label, type SyscallBatch } from "../agent/batch.ts";
import { UNDO_SIZE } from "../agent/layout.ts";
import { plus } from "../bytes/address.ts";
import { u64 } from "../bytes/layout.ts";
import { bytesFromText, zeroEnded } from "../bytes/text.ts";
import { placeOf, type SocketPlace } from "../descriptors/unix-description.ts";
import type { Task } from "../forest/task.ts";
import { ECONNREFUSED } from "../linux/errno.ts";
import { AT } from "../linux/fcntl.ts";
import { AF_UNIX } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { SOCK } from "../linux/socket.ts";
import { S_IFMT, S_IFSOCK, STATX, statx } from "../linux/stat.ts";
import { encodeUnixAddress } from "../linux/unix.ts";
import type { OpenedInput } from "../plan/inputs.ts";

/** Where the file of a unix socket is made. */
export interface BoundPlace extends Pick<SocketPlace, "name"> {
	/** The agent's descriptor of the directory. */
	readonly directory: number;
	/** Users whose it may be while it is made. */
	readonly owners: ReadonlySet<number>;
}

/** @param makers users who may make the files. */
export function boundPlaces(
	tasks: readonly Task[],
	opened: readonly OpenedInput[],
	makers: readonly number[],
): readonly BoundPlace[] {
	const places = new Map<string, BoundPlace>();
	for (const { files } of tasks)
		for (const { description } of files.descriptors) {
			if (description.kind !== "unix-socket") continue;
			const place = placeOf(description);
			const input = opened.find(({ path, use }) => use === "node" && path === place?.directory);
			if (place === undefined || input === undefined) continue;
			const owners = new Set([...makers, ...(description.file === undefined ? [] : [description.file.uid])]);
			places.set(`${input.number} ${place.name}`, { directory: input.number, name: place.name, owners });
		}
	return [...places.values()];
}

/** Bytes of the calls for one, and of what they refer to. */
const MOST_OF_ONE = 2048;

/**
 * Adds calls that remove the files of sockets whose processes have ended: sockets that nobody is bound to. Whoever lives keeps his, and
 * what is no socket stays. The agent is in another directory afterwards. It does this for as many as an undo list has room for.
 */
export function addUnbinding(batch: SyscallBatch, places: readonly BoundPlace[]): void {
	const look = batch.space(statx.size);
	for (const { directory, name, owners } of places) {
		const [end, owned, socket, dead] = [label("the end"), label("theirs"), label("a socket"), label("nobody's")];
		if (BigInt(batch.taken + MOST_OF_ONE) > UNDO_SIZE) return;
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
}

/** Removes the files of sockets whose processes have ended. */
export async function unbind(agent: Agent, places: readonly BoundPlace[]): Promise<void> {
	for (const place of places) {
		const batch = agent.batch();
		addUnbinding(batch, [place]);
		await agent.perform(batch);
	}
}
