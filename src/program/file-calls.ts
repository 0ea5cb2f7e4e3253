import { FAN, FAN_MARK } from "../linux/fanotify.ts";
import { F, F_LCK, F_OWNER, FD_CLOEXEC, flockStruct, fOwnerEx, LOCK } from "../linux/fcntl.ts";
import { INOTIFY_IOC_SETNEXTWD } from "../linux/inotify.ts";
import { F_SEAL } from "../linux/mman.ts";
import { O, openFlagsText } from "../linux/open.ts";
import { EPOLL_CTL_ADD, epollEvent } from "../linux/poll.ts";
import { TFD_IOC_SET_TICKS, TFD_TIMER_ABSTIME } from "../linux/time.ts";
import { TCSETS, TCSETS2, TIOC, termios2, winsize } from "../linux/tty.ts";
import { SIOCUNIXFILE } from "../linux/unix.ts";
import type { Arg } from "./args.ts";
import { has, inStage, remedy, type SystemCallRows } from "./call-row.ts";
import {
	buffer,
	count,
	descriptor,
	flags,
	hexadecimal,
	int,
	known,
	literalOf,
	octal,
	oneOf,
	pointer,
	pointerTo,
	type Spell,
	signal,
	signalSet,
	text,
	u64At,
} from "./kinds.ts";
import { struct } from "./structs.ts";
import { clock, fileTimes, timerTimes } from "./times.ts";

/** include/uapi/linux/eventpoll.h */
const EPOLL = {
	...{ IN: 0x1, PRI: 0x2, OUT: 0x4, ERR: 0x8, HUP: 0x10, RDNORM: 0x40, RDBAND: 0x80, WRNORM: 0x100, WRBAND: 0x200 },
	...{ MSG: 0x400, RDHUP: 0x2000, EXCLUSIVE: 0x1000_0000n, WAKEUP: 0x2000_0000n, ONESHOT: 0x4000_0000n },
	...{ ET: 0x8000_0000n },
};

/** include/uapi/linux/inotify.h */
const IN = {
	...{ ACCESS: 0x1, MODIFY: 0x2, ATTRIB: 0x4, CLOSE_WRITE: 0x8, CLOSE_NOWRITE: 0x10, OPEN: 0x20, MOVED_FROM: 0x40 },
	...{ MOVED_TO: 0x80, CREATE: 0x100, DELETE: 0x200, DELETE_SELF: 0x400, MOVE_SELF: 0x800 },
	...{ EXCL_UNLINK: 0x400_0000n, ONESHOT: 0x8000_0000n },
};

const openFlags = known((value) => openFlagsText(Number(value)));
const statusFlags = flags({ O_APPEND: O.APPEND, O_NONBLOCK: O.NONBLOCK, O_CLOEXEC: O.CLOEXEC, O_DIRECT: O.DIRECT });

const command = oneOf(F, "F_");
const owner = pointerTo(struct(fOwnerEx, { type: oneOf(F_OWNER, "F_OWNER_"), pid: int }));

const lockType = oneOf(F_LCK, "F_");
const range = pointerTo(struct(flockStruct, { l_type: lockType, l_start: count, l_len: count }, true));

/** What the third argument of fcntl(2) is depends on the second. */
const fcntlArgument: Spell = (arg, args) =>
	fcntlSpells.get(Number(literalOf(args[1]) ?? -1n))?.(arg, args) ?? int(arg, args);

const fcntlSpells: ReadonlyMap<number, Spell> = new Map([
	[F.SETFD, flags({ FD_CLOEXEC })],
	[F.SETFL, openFlags],
	[F.SETSIG, signal],
	[F.SETOWN_EX, owner],
	[F.SETLK, range],
	[F.OFD_SETLK, range],
	[F.SETLEASE, lockType],
	[F.ADD_SEALS, flags(F_SEAL, "F_SEAL_")],
]);

const ticks = pointerTo((place) => `[${u64At(place)}]`);
const whole = pointerTo((place) => `[${BigInt.asIntN(32, u64At(place))}]`);
const settings = pointerTo(struct(termios2, { c_cc: { inner: () => "…" }, c_line: int }));

/** What the third argument of ioctl(2) is depends on the second. */
const ioctlSpells: ReadonlyMap<number, Spell> = new Map([
	[TFD_IOC_SET_TICKS, ticks],
	[INOTIFY_IOC_SETNEXTWD, int],
	...[TIOC.SPTLCK, TIOC.PKT, TIOC.SPGRP].map((request): [number, Spell] => [request, whole]),
	...[TCSETS, TCSETS2, TIOC.SLCKTRMIOS].map((request): [number, Spell] => [request, settings]),
	[TIOC.GPTPEER, openFlags],
	[TIOC.SCTTY, int],
	[TIOC.SWINSZ, pointerTo(struct(winsize, { ws_row: int, ws_col: int, ws_xpixel: int, ws_ypixel: int }))],
]);

const ioctlArgument: Spell = (arg: Arg, args) =>
	ioctlSpells.get(Number(literalOf(args[1]) ?? -1n))?.(arg, args) ?? pointer(arg, args);

const terminalRequests = Object.fromEntries(Object.entries(TIOC).map(([name, number]) => [`TIOC${name}`, number]));
const requests = { TFD_IOC_SET_TICKS, INOTIFY_IOC_SETNEXTWD, TCSETS, TCSETS2, SIOCUNIXFILE, ...terminalRequests };

const epollOps = oneOf({ EPOLL_CTL_ADD, EPOLL_CTL_DEL: 2, EPOLL_CTL_MOD: 3 });
const event = pointerTo(struct(epollEvent, { events: flags(EPOLL, "EPOLL") }));

/** A number beyond the limit is no error of its own: dup2(2) says EBADF, F_DUPFD_CLOEXEC says EINVAL. */
const DESCRIPTORS = "raise RLIMIT_NOFILE (ulimit -n) above the numbers of its descriptors";

/** /proc/locks says who. */
const LOCKED = "end whoever has locked the file (/proc/locks), or go on without: --no-file-locks";

export const fileCalls = {
	chdir: {
		args: [text],
		remedies: [
			remedy("ENOENT", "make the directory again"),
			remedy("EACCES", "run as a user who may enter the directory"),
		],
	},
	chroot: {
		args: [text],
		remedies: [remedy("ENOENT", "make the directory again"), remedy("EPERM", "needs CAP_SYS_CHROOT")],
	},
	close: { args: [descriptor] },
	close_range: {
		args: [
			descriptor,
			known((value) => (value >= 0xffff_ffffn ? "~0U" : value.toString())),
			flags({ CLOSE_RANGE_UNSHARE: 2, CLOSE_RANGE_CLOEXEC: 4 }),
		],
	},
	dup: { args: [descriptor] },
	dup2: { args: [descriptor, descriptor], remedies: [remedy("EBADF", DESCRIPTORS)] },
	dup3: { args: [descriptor, descriptor, statusFlags], remedies: [remedy("EBADF", DESCRIPTORS)] },
	epoll_create1: { args: [statusFlags] },
	epoll_ctl: { args: [descriptor, epollOps, descriptor, event] },
	eventfd2: { args: [count, flags({ EFD_SEMAPHORE: 1, EFD_CLOEXEC: O.CLOEXEC, EFD_NONBLOCK: O.NONBLOCK })] },
	fanotify_init: {
		args: [flags(FAN, "FAN_"), openFlags],
		remedies: [remedy("EPERM", "needs CAP_SYS_ADMIN")],
	},
	fanotify_mark: {
		args: [descriptor, flags(FAN_MARK, "FAN_MARK_"), hexadecimal, descriptor, text],
		remedies: [remedy("EPERM", "needs CAP_SYS_ADMIN")],
	},
	fchdir: { args: [descriptor] },
	fchmod: { args: [descriptor, octal] },
	fchown: { args: [descriptor, int, int] },
	fchownat: { args: [descriptor, text, int, int, hexadecimal], remedies: [remedy("EPERM", "needs CAP_CHOWN")] },
	fcntl: {
		args: [descriptor, command, fcntlArgument],
		remedies: [
			remedy("EINVAL", DESCRIPTORS, has(1, F.DUPFD_CLOEXEC)),
			...[F.SETLK, F.OFD_SETLK].map((lock) => remedy("EAGAIN", LOCKED, has(1, lock))),
			remedy(
				"EAGAIN",
				"have others close the file: there is no lease of what somebody else has open",
				has(1, F.SETLEASE),
			),
			remedy("EACCES", "a lease takes whoever owns the file, or CAP_LEASE", has(1, F.SETLEASE)),
			remedy("EPERM", "raise fs.pipe-max-size, or grant CAP_SYS_RESOURCE"),
		],
	},
	flock: { args: [descriptor, flags(LOCK, "LOCK_")], remedies: [remedy("EAGAIN", LOCKED)] },
	inotify_add_watch: { args: [descriptor, text, flags(IN, "IN_")] },
	inotify_init1: { args: [statusFlags] },
	ioctl: {
		args: [descriptor, oneOf(requests), ioctlArgument],
		least: 2,
		remedies: [
			remedy("EPERM", "it is the controlling terminal of another session: end that", has(1, TIOC.SCTTY)),
			remedy("EPERM", "needs CAP_SYS_ADMIN", has(1, TIOC.SLCKTRMIOS)),
		],
	},
	linkat: { args: [descriptor, text, descriptor, text, hexadecimal] },
	mkdirat: {
		args: [descriptor, text, octal],
		remedies: [
			remedy("EACCES", "run as a user who may make directories there"),
			remedy("EEXIST", "remove what has that name"),
		],
	},
	mknodat: {
		args: [descriptor, text, octal, count],
		remedies: [remedy("EACCES", "run as a user who may make files in that directory")],
	},
	open: {
		args: [text, openFlags, octal],
		least: 2,
		remedies: [
			remedy("ENOENT", "put the file back, or name another with --fd N=PATH", inStage("files")),
			remedy("ENOENT", "put the file back as it was"),
			remedy("EACCES", "run as a user who may open the file"),
			remedy("EPERM", "run as a user who may open the file"),
			remedy("ETXTBSY", "end the processes that run the file"),
			remedy("EROFS", "mount its file system read-write"),
		],
	},
	openat: {
		args: [descriptor, text, openFlags, octal],
		least: 3,
		remedies: [
			remedy("ENOENT", "put the file back, or name another with --fd N=PATH", inStage("files")),
			remedy("ENOENT", "put the file back as it was"),
			remedy("EACCES", "run as a user who may open the file"),
			remedy("EPERM", "run as a user who may open the file"),
			remedy("ETXTBSY", "end the processes that run the file"),
			remedy("EROFS", "mount its file system read-write"),
		],
	},
	openat2: { args: [descriptor, text, pointer, count] },
	pipe2: { args: [pointer, statusFlags] },
	read: { args: [descriptor, pointer, count] },
	renameat: { args: [descriptor, text, descriptor, text] },
	sendfile: { args: [descriptor, descriptor, pointerTo((place) => `[${u64At(place)}]`), count] },
	signalfd4: { args: [descriptor, signalSet, count, statusFlags] },
	timerfd_create: { args: [clock, statusFlags] },
	timerfd_settime: {
		args: [descriptor, flags({ TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET: 2 }), timerTimes, pointer],
	},
	umask: { args: [octal] },
	unlinkat: { args: [descriptor, text, hexadecimal] },
	unlink: { args: [text] },
	utimensat: { args: [descriptor, text, fileTimes, hexadecimal] },
	write: { args: [descriptor, buffer(2), count] },
	writev: { args: [descriptor, hexadecimal, count] },
} as const satisfies SystemCallRows;
