import { i32, layout, u8, u16, u32, viewOf } from "../bytes/layout.ts";
import { AF_UNIX } from "./io.ts";
import { type UnixName, unixName } from "./unix.ts";

/** include/linux/socket.h, include/uapi/linux/netlink.h, sock_diag.h */
export const AF_NETLINK = 16;
export const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const NLMSG_ERROR = 2;

/** `struct nlmsghdr` (include/uapi/linux/netlink.h). */
const nlmsghdr = layout("nlmsghdr", {
	...{ nlmsg_len: u32, nlmsg_type: u16, nlmsg_flags: u16, nlmsg_seq: u32, nlmsg_pid: u32 },
});

/** `struct unix_diag_req` (include/uapi/linux/unix_diag.h). */
const unixDiagReq = layout("unix_diag_req", {
	...{ sdiag_family: u8, sdiag_protocol: u8, pad: u16, udiag_states: u32, udiag_ino: u32, udiag_show: u32 },
	...{ udiag_cookie_low: u32, udiag_cookie_high: u32 },
});

/** `struct unix_diag_msg` (the same file). */
const unixDiagMsg = layout("unix_diag_msg", {
	...{ udiag_family: u8, udiag_type: u8, udiag_state: u8, pad: u8, udiag_ino: u32 },
	...{ udiag_cookie_low: u32, udiag_cookie_high: u32 },
});

/** UDIAG_SHOW_: which attributes an answer has. */
const SHOW = { NAME: 1, VFS: 2, PEER: 4, ICONS: 8, RQLEN: 16 } as const;

/** UNIX_DIAG_: attributes. */
const ATTRIBUTE = { NAME: 0, VFS: 1, PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;

/** Any cookie (include/uapi/linux/inet_diag.h, INET_DIAG_NOCOOKIE). */
const NO_COOKIE = 0xffff_ffff;

/** The most that the kernel answers about one socket (net/unix/diag.c: a page behind the message, and its head). */
export const UNIX_DIAG_ANSWER = 8192;

/** What unix_diag tells of one socket. */
export interface UnixDiag {
	readonly inode: number;
	/** SOCK_ number. */
	readonly type: number;
	/** {@link UNIX_STATE} */
	readonly state: number;
	readonly name?: UnixName;
	/** The inode of the file that it is bound to. */
	readonly file?: number;
	/** The inode of its peer; 0 where that is closed, or was not accepted yet. Absent where it never had one, or has none now. */
	readonly peer?: number;
	/** Of a listener: inodes of those that wait to be accepted. */
	readonly waiting: readonly number[];
	/** Of a listener: connections that wait; bytes otherwise. */
	readonly queued: number;
	/** Of a listener: how many connections may wait; otherwise bytes that its peer has not read. */
	readonly room: number;
	/** Sides that were shut down: 1 for reading, 2 for writing. */
	readonly shutdown: number;
}

/** What the kernel calls the states of a unix socket (include/net/tcp_states.h). */
export const UNIX_STATE = { ESTABLISHED: 1, CLOSE: 7, LISTEN: 10 } as const;

/** A request about one socket, by its inode. */
export const unixDiagRequest = (inode: number): Uint8Array =>
	Buffer.concat([
		nlmsghdr.encode({
			...{ nlmsg_len: nlmsghdr.size + unixDiagReq.size, nlmsg_type: SOCK_DIAG_BY_FAMILY },
			...{ nlmsg_flags: NLM_F_REQUEST, nlmsg_seq: 0, nlmsg_pid: 0 },
		}),
		unixDiagReq.encode({
			...{ sdiag_family: AF_UNIX, sdiag_protocol: 0, pad: 0, udiag_states: 0xffff_ffff, udiag_ino: inode },
			udiag_show: SHOW.NAME | SHOW.VFS | SHOW.PEER | SHOW.ICONS | SHOW.RQLEN,
			...{ udiag_cookie_low: NO_COOKIE, udiag_cookie_high: NO_COOKIE },
		}),
	]);

/** An answer; `undefined` where there is no such socket, or the kernel does not tell. */
export function decodeUnixDiag(answer: Uint8Array): UnixDiag | undefined {
	if (answer.length < nlmsghdr.size) return undefined;
	const { nlmsg_len, nlmsg_type } = nlmsghdr.decode(answer);
	if (nlmsg_type === NLMSG_ERROR || nlmsg_len > answer.length || nlmsg_len < nlmsghdr.size + unixDiagMsg.size)
		return undefined;
	const { udiag_type: type, udiag_state: state, udiag_ino: inode } = unixDiagMsg.decode(answer.subarray(nlmsghdr.size));
	const attributes = attributesIn(answer.subarray(nlmsghdr.size + unixDiagMsg.size, nlmsg_len));
	const words = (attribute: number): readonly number[] => wordsIn(attributes.get(attribute));
	const name = unixName(attributes.get(ATTRIBUTE.NAME) ?? new Uint8Array());
	const [file] = words(ATTRIBUTE.VFS);
	const [peer] = words(ATTRIBUTE.PEER);
	const [queued = 0, room = 0] = words(ATTRIBUTE.RQLEN);
	return {
		...{ inode, type, state, queued, room, waiting: words(ATTRIBUTE.ICONS) },
		shutdown: attributes.get(ATTRIBUTE.SHUTDOWN)?.[0] ?? 0,
		...(name === undefined ? {} : { name }),
		...(file === undefined ? {} : { file }),
		...(peer === undefined ? {} : { peer }),
	};
}

/** `struct nlattr`: length, with itself, and type; each begins at a multiple of 4. */
function attributesIn(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
	const found = new Map<number, Uint8Array>();
	for (let at = 0; at + 2 * u16.size <= bytes.length; ) {
		const length = u16.read(viewOf(bytes), at);
		const type = u16.read(viewOf(bytes), at + u16.size);
		if (length < 2 * u16.size) break;
		found.set(type, bytes.subarray(at + 2 * u16.size, at + length));
		at += Math.ceil(length / i32.size) * i32.size;
	}
	return found;
}

const wordsIn = (bytes: Uint8Array = new Uint8Array()): number[] =>
	Array.from({ length: Math.floor(bytes.length / u32.size) }, (_, i) => u32.read(viewOf(bytes), i * u32.size));
