import { ACCESS } from "../linux/fcntl.ts";
import { SOCK } from "../linux/socket.ts";
import { isAbstract } from "../linux/unix.ts";
import { UNIX_STATE } from "../linux/unix-diag.ts";
import type { HostFile } from "./inputs.ts";
import { leadsOn, placeOf, type UnixSocket } from "./unix-description.ts";

/** What it is, in words, where this version cannot open it again. */
export function unopenable(socket: UnixSocket): string | undefined {
	const { type, state, name, stranger, queue } = socket;
	if (stranger === true) return "a unix socket that is connected to a process which is not here";
	if (![SOCK.STREAM, SOCK.DGRAM, SOCK.SEQPACKET].includes(type as 1)) return `a unix socket of type ${type}`;
	if (state !== UNIX_STATE.ESTABLISHED && state !== UNIX_STATE.CLOSE && state !== UNIX_STATE.LISTEN)
		return `a unix socket in state ${state}`;
	if (queue.some(({ rights }) => rights !== undefined)) return "a unix socket in which descriptors wait (SCM_RIGHTS)";
	if (name !== undefined && !isAbstract(name) && placeOf(socket) === undefined)
		return "a unix socket with a relative name of which nobody knows where it begins";
	return undefined;
}

/** The directory in which its file is made, or from which its name leads there. */
export function directoriesOf(socket: UnixSocket): readonly HostFile[] {
	const place = placeOf(socket);
	if (place === undefined) return [];
	const access = leadsOn(place) ? ACCESS.X_OK : ACCESS.W_OK | ACCESS.X_OK;
	return [{ looks: { path: place.directory }, use: "node", access, apart: true }];
}
