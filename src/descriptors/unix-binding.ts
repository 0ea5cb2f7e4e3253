import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { bytesFromText } from "../bytes/text.ts";
import { loss } from "../finding.ts";
import { ECONNREFUSED, EEXIST, ENXIO, EPROTOTYPE } from "../linux/errno.ts";
import { AT, AT_FDCWD } from "../linux/fcntl.ts";
import { AF_UNIX } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { SOCK } from "../linux/socket.ts";
import { S_IFSOCK } from "../linux/stat.ts";
import { encodeUnixAddress, isAbstract, SIOCUNIXFILE, unixNameText } from "../linux/unix.ts";
import { bytesDatum, cellDatum, pathDatum } from "../program/data.ts";
import type { ProcessInput } from "./inputs.ts";
import { nodeOf } from "./node.ts";
import type { FdAllocator, Slot } from "./steps.ts";
import { isDatagram, leadsOn, placeOf, type SocketPlace, type UnixSocket } from "./unix-description.ts";
import { waiting, wordsOf } from "./unix-group.ts";

type End = Slot<UnixSocket>;

/**
 * Gives it its name. A file that has its path is replaced where it is a socket to which nobody is bound, as dead servers leave them;
 * it is looked at and removed by the directory that was opened and judged, and never followed.
 */
export function bind({ content, key }: End, fds: FdAllocator): void {
	const { name } = content;
	if (name === undefined) return;
	const fd = waiting(fds, key);
	const address = encodeUnixAddress(name);
	const bindIt = (): void =>
		fds.add(
			"bind",
			[fd, bytesDatum(`address of ${wordsOf(content)}`, address), BigInt(address.length)],
			unixNameText(name),
		);
	const place = placeOf(content);
	if (isAbstract(name) || place === undefined) {
		fds.actor.asUser();
		bindIt();
		return;
	}
	const input = directoryOf(place, fds);
	const path = wordsOf(content);
	removeStale(input, place, path, fds);
	const before = cellDatum(`umask before ${path}`);
	if (place.relative) fds.add("fchdir", [{ input }], "where its name begins");
	fds.add("umask", [0n], "its file has exactly its own mode", { save: before, expect: "anything" });
	const mode = content.file?.mode;
	if (mode !== undefined) fds.add("fchmod", [fd, BigInt(mode & 0o7777)], "which its file takes over");
	bindIt();
	fds.add("umask", [{ valueOf: before }], "as before", { expect: "anything" });
	if (content.deleted !== true) proveThere(content, input, place, fds);
	giveOwner(content, input, fd, fds);
}

/** Where its name begins; whoever comes next in the list acts there as whom it is open for. */
function directoryOf(place: SocketPlace, fds: FdAllocator): ProcessInput {
	const input = nodeOf(place.directory, fds);
	if (!leadsOn(place)) return input;
	fds.actor.asUser();
	return { ...input, lent: false };
}

/** The directory and the name in it. */
const at = (input: ProcessInput, { name }: Pick<SocketPlace, "name">) =>
	[{ input }, pathDatum(`name of ${name}`, name)] as const;

/** Removes what a dead process has left; fails where it is anything else. */
function removeStale(input: ProcessInput, place: SocketPlace, path: string, fds: FdAllocator): void {
	// there is something in any case: the steps are the same
	fds.add("mknodat", [...at(input, place), BigInt(S_IFSOCK | 0o600), 0n], `a file for ${path}, if there is none`, {
		expect: { successOr: EEXIST },
	});
	withNode(input, place, fds, (node) => {
		const name = pathDatum(`file of ${path}`, node);
		fds.add(
			"openat",
			[AT_FDCWD, name, BigInt(O.RDONLY | O.NONBLOCK | O.NOCTTY | O.CLOEXEC)],
			`what has the path of ${path} is a socket`,
			{
				expect: { exactly: BigInt(-ENXIO) },
			},
		);
		probe(SOCK.DGRAM, node, -ECONNREFUSED, `nobody is bound to ${path}`, fds);
	});
	fds.add("unlinkat", [...at(input, place), 0n], `of the dead ${path}`);
}

/** The directory of its name is the one that was opened: nobody's link led elsewhere. */
function proveThere(content: UnixSocket, input: ProcessInput, place: SocketPlace, fds: FdAllocator): void {
	const other = isDatagram(content) ? SOCK.STREAM : SOCK.DGRAM;
	withNode(input, place, fds, (node) =>
		probe(other, node, -EPROTOTYPE, `${wordsOf(content)} is bound there, and of another type`, fds),
	);
}

/** Asks what is bound to a file with a socket of some type. */
function probe(type: number, node: string, expected: number, why: string, fds: FdAllocator): void {
	// the file itself has the first number
	const socket = fds.nextFree(1);
	const asker = [BigInt(AF_UNIX), BigInt(type | O.CLOEXEC | O.NONBLOCK), 0n] as const;
	fds.add("socket", asker, "to ask with", { expect: { exactly: BigInt(socket) } });
	const address = encodeUnixAddress(bytesFromText(node));
	fds.add("connect", [BigInt(socket), bytesDatum(`address of ${node}`, address), BigInt(address.length)], why, {
		expect: { exactly: BigInt(expected) },
	});
	fds.add("close", [BigInt(socket)], "asked");
}

/** @param use with the name that /proc has for the file itself: nobody can put another there */
function withNode(input: ProcessInput, place: SocketPlace, fds: FdAllocator, use: (node: string) => void): void {
	const flags = BigInt(O.PATH | O.NOFOLLOW | O.CLOEXEC);
	const node = fds.open("openat", [...at(input, place), flags], `${place.name} itself`);
	use(pathOfDescriptor(node));
	fds.add("close", [BigInt(node)], `${place.name} itself`);
}

/** Of whoever makes it, unless it was changed since. */
function giveOwner(
	content: UnixSocket,
	{ lent }: ProcessInput,
	fd: ReturnType<typeof waiting>,
	fds: FdAllocator,
): void {
	const { file } = content;
	const { user } = fds;
	if (file === undefined || (!lent && file.uid === user.uid && file.gid === user.gid)) return;
	if (!lent && user.uid !== 0) {
		const was = `the file of ${wordsOf(content)} belonged to ${file.uid}:${file.gid}; it belongs to its user now`;
		fds.report(loss("attribute", `process ${fds.pid}`, was));
		return;
	}
	// by the socket: its path may lead elsewhere by now
	const node = fds.open("ioctl", [fd, BigInt(SIOCUNIXFILE), 0n], `the file of ${wordsOf(content)} itself`);
	const owner = [BigInt(file.uid), BigInt(file.gid)] as const;
	fds.add("fchownat", [BigInt(node), pathDatum("itself", ""), ...owner, BigInt(AT.EMPTY_PATH)], "whose it is");
	fds.add("close", [BigInt(node)], "its owner is set");
}

/** Connects a socket to one with a name. */
export function connect(client: End, { content }: End, fds: FdAllocator): void {
	const { name } = content;
	if (name === undefined) return;
	const place = placeOf(content);
	const to = (address: Uint8Array): void =>
		fds.add(
			"connect",
			[waiting(fds, client.key), bytesDatum(`address of ${wordsOf(content)}`, address), BigInt(address.length)],
			`${wordsOf(client.content)} to ${wordsOf(content)}`,
		);
	if (place === undefined) {
		fds.actor.asUser();
		to(encodeUnixAddress(name));
		return;
	}
	withNode(directoryOf(place, fds), place, fds, (node) => to(encodeUnixAddress(bytesFromText(node))));
	fds.actor.asUser();
}

/** Takes away the path that it had lost. */
export function unlinkDeleted({ content }: End, fds: FdAllocator): void {
	const place = placeOf(content);
	if (content.deleted !== true || place === undefined) return;
	const input = directoryOf(place, fds);
	fds.add("unlinkat", [...at(input, place), 0n], `${wordsOf(content)} had lost its path`);
	fds.actor.asUser();
}
