import { F, F_OWNER, FD_CLOEXEC, fOwnerEx } from "../../linux/fcntl.ts";
import { F_SEAL } from "../../linux/mman.ts";
import { O, openFlagsText } from "../../linux/open.ts";
import { EPOLL_CTL_ADD, epollEvent } from "../../linux/poll.ts";
import { TFD_IOC_SET_TICKS, TFD_TIMER_ABSTIME } from "../../linux/time.ts";
import type { CallName } from "../calls.ts";
import type { Arg } from "../program.ts";
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
} from "./spell.ts";
import { struct } from "./structs.ts";
import { clock, fileTimes, timerTimes } from "./times.ts";

/** include/uapi/linux/eventpoll.h */
const EPOLL = {
	...{ IN: 0x1, PRI: 0x2, OUT: 0x4, ERR: 0x8, HUP: 0x10, RDNORM: 0x40, RDBAND: 0x80, WRNORM: 0x100, WRBAND: 0x200 },
	...{ MSG: 0x400, RDHUP: 0x2000, EXCLUSIVE: 0x1000_0000n, WAKEUP: 0x2000_0000n, ONESHOT: 0x4000_0000n },
	...{ ET: 0x8000_0000n },
};

const openFlags = known((value) => openFlagsText(Number(value)));
const statusFlags = flags({ O_APPEND: O.APPEND, O_NONBLOCK: O.NONBLOCK, O_CLOEXEC: O.CLOEXEC, O_DIRECT: O.DIRECT });

const command = oneOf(F, "F_");
const owner = pointerTo(struct(fOwnerEx, { type: oneOf(F_OWNER, "F_OWNER_"), pid: int }));

/** What the third argument of fcntl(2) is depends on the second. */
const fcntlArgument: Spell = (arg, args) =>
	fcntlSpells.get(Number(literalOf(args[1]) ?? -1n))?.(arg, args) ?? int(arg, args);

const fcntlSpells: ReadonlyMap<number, Spell> = new Map([
	[F.SETFD, flags({ FD_CLOEXEC })],
	[F.SETFL, openFlags],
	[F.SETSIG, signal],
	[F.SETOWN_EX, owner],
	[F.ADD_SEALS, flags(F_SEAL, "F_SEAL_")],
]);

const ioctlArgument: Spell = (arg: Arg, args) =>
	literalOf(args[1]) === BigInt(TFD_IOC_SET_TICKS) ? ticks(arg, args) : pointer(arg, args);
const ticks = pointerTo((place) => `[${u64At(place)}]`);

const epollOps = oneOf({ EPOLL_CTL_ADD, EPOLL_CTL_DEL: 2, EPOLL_CTL_MOD: 3 });
const event = pointerTo(struct(epollEvent, { events: flags(EPOLL, "EPOLL") }));

export const fileCalls: Partial<Record<CallName, readonly Spell[]>> = {
	chdir: [text],
	chroot: [text],
	close: [descriptor],
	close_range: [
		descriptor,
		known((value) => (value >= 0xffff_ffffn ? "~0U" : value.toString())),
		flags({ CLOSE_RANGE_UNSHARE: 2, CLOSE_RANGE_CLOEXEC: 4 }),
	],
	dup: [descriptor],
	dup2: [descriptor, descriptor],
	dup3: [descriptor, descriptor, statusFlags],
	epoll_create1: [statusFlags],
	epoll_ctl: [descriptor, epollOps, descriptor, event],
	eventfd2: [count, flags({ EFD_SEMAPHORE: 1, EFD_CLOEXEC: O.CLOEXEC, EFD_NONBLOCK: O.NONBLOCK })],
	fchdir: [descriptor],
	fchmod: [descriptor, octal],
	fchown: [descriptor, int, int],
	fcntl: [descriptor, command, fcntlArgument],
	ioctl: [descriptor, oneOf({ TFD_IOC_SET_TICKS }), ioctlArgument],
	open: [text, openFlags, octal],
	openat: [descriptor, text, openFlags, octal],
	pipe2: [pointer, statusFlags],
	read: [descriptor, pointer, count],
	sendfile: [descriptor, descriptor, pointerTo((place) => `[${u64At(place)}]`), count],
	signalfd4: [descriptor, signalSet, count, statusFlags],
	timerfd_create: [clock, statusFlags],
	timerfd_settime: [descriptor, flags({ TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET: 2 }), timerTimes, pointer],
	umask: [octal],
	unlink: [text],
	utimensat: [descriptor, text, fileTimes, hexadecimal],
	write: [descriptor, buffer(2), count],
	writev: [descriptor, hexadecimal, count],
};
