import { i32Bytes } from "../bytes/layout.ts";
import { AF_UNIX } from "../linux/io.ts";
import { SO, SOL_SOCKET } from "../linux/socket.ts";
import type { Arg } from "../program/args.ts";
import { bytesDatum } from "../program/data.ts";
import { setBuffers, timeBytes } from "./inet-making.ts";
import { optionsOf } from "./socket-options.ts";
import type { FdAllocator } from "./steps.ts";
import type { UnixSocket } from "./unix-description.ts";

const SIZES: ReadonlySet<string> = new Set(["send buffer", "receive buffer", "buffer lock"]);

/** @param which The sizes of its buffers come before what waits in it, all else behind. */
export function setUnixOptions(socket: UnixSocket, fd: Arg, fds: FdAllocator, which: "sizes" | "others"): void {
	const { options, timeouts, inode } = socket;
	const set = (level: number, option: number, value: number | Uint8Array, why: string): void => {
		const bytes = typeof value === "number" ? i32Bytes(value) : value;
		const datum = bytesDatum(`option ${option} of unix socket ${inode}`, bytes);
		fds.add("setsockopt", [fd, BigInt(level), BigInt(option), datum, BigInt(bytes.length)], why);
	};
	if (which === "sizes") {
		setBuffers(socket, `unix socket ${inode}`, fds, set);
		return;
	}
	for (const { name, level, option, usual } of optionsOf(AF_UNIX, 0)) {
		const value = options[name];
		if (!SIZES.has(name) && value !== undefined && value !== usual) set(level, option, value, name);
	}
	if (timeouts.send !== 0n) set(SOL_SOCKET, SO.SNDTIMEO, timeBytes(timeouts.send), "how long sending may take");
	if (timeouts.receive !== 0n)
		set(SOL_SOCKET, SO.RCVTIMEO, timeBytes(timeouts.receive), "how long it waits to receive");
}
