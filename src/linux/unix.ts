import { u16, viewOf } from "../bytes/layout.ts";
import { textFromBytes } from "../bytes/text.ts";
import { AF_UNIX } from "./io.ts";

/** Bytes of `sun_path` (include/uapi/linux/un.h). */
export const UNIX_PATH_MAX = 108;

/** `struct sockaddr_un`: the family and the longest name. */
export const SOCKADDR_UN_SIZE = u16.size + UNIX_PATH_MAX;

/**
 * A name as unix(7) has it: a path, without a NUL behind it; or, behind a leading NUL, any bytes ("abstract"). Not empty.
 */
export type UnixName = Uint8Array;

export const isAbstract = (name: UnixName): boolean => name[0] === 0;

export const isRelative = (name: UnixName): boolean => name[0] !== 0 && name[0] !== 0x2f;

/** `struct sockaddr_un` of a name; its length is that of the address. */
export function encodeUnixAddress(name: UnixName): Uint8Array {
	const bytes = new Uint8Array(u16.size + name.length);
	u16.write(viewOf(bytes), 0, AF_UNIX);
	bytes.set(name, u16.size);
	return bytes;
}

/** The name in an address of unix sockets as the kernel gives it; `undefined` for none, and for other families. */
export function decodeUnixAddress(bytes: Uint8Array): UnixName | undefined {
	if (bytes.length <= u16.size || u16.read(viewOf(bytes), 0) !== AF_UNIX) return undefined;
	return unixName(bytes.subarray(u16.size));
}

/** As images and the kernel have it: a path has its NUL. `undefined` for none. */
export function unixName(bytes: Uint8Array): UnixName | undefined {
	if (bytes.length === 0) return undefined;
	if (bytes[0] === 0) return bytes.length === 1 ? undefined : Uint8Array.from(bytes);
	const end = bytes.indexOf(0);
	return Uint8Array.from(end < 0 ? bytes : bytes.subarray(0, end));
}

/** For people: `/run/x.sock`, `@x` for an abstract one. */
export const unixNameText = (name: UnixName): string =>
	isAbstract(name) ? `@${textFromBytes(name.subarray(1))}` : textFromBytes(name);

/** `ioctl` that opens the file of a bound unix socket, with O_PATH (include/uapi/linux/un.h). */
export const SIOCUNIXFILE = 0x89e0;
