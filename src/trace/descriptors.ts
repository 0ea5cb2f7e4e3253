import type { Agent } from "../agent/agent.ts";
import type { Slot, SyscallBatch } from "../agent/batch.ts";
import { inBatches } from "../agent/in-batches.ts";
import { i32Bytes, u32, viewOf } from "../bytes/layout.ts";
import { once } from "../bytes/once.ts";
import { refuse } from "../errors.ts";
import { EACCES, EBADF, errnoName, failedWith } from "../linux/errno.ts";
import { F, fOwnerEx } from "../linux/fcntl.ts";
import { FIONREAD, SPLICE_F_NONBLOCK } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { KCMP, kcmpEpollSlot } from "../linux/sched.ts";
import { MOST_SOCKADDR, SO, SOL_SOCKET } from "../linux/socket.ts";
import { itimerspec } from "../linux/time.ts";

/** Copies of a process's fds in the agent (pidfd_getfd(2)), for what can only be asked of an open fd. */
export interface DescriptorCopies {
	/**
	 * Whether a descriptor is the file that an epoll instance watches by a number (the how many-th of these); `undefined` where the
	 * kernel does not tell.
	 */
	isWatched(epoll: number, asked: readonly WatchedFile[]): Promise<readonly (boolean | undefined)[]>;
	/** Whom F_SETOWN_EX and F_SETSIG named, in the order of the numbers; zeros for nobody. */
	owners(
		numbers: readonly number[],
	): Promise<readonly { readonly type: number; readonly pid: number; readonly signal: number }[]>;
	/**
	 * Has timerfds count their expirations up to now. folklore: the kernel does not re-arm a periodic timerfd after an
	 * expiration until it is read or timerfd_gettime(2) is called (fs/timerfd.c); until then fdinfo shows no time left.
	 */
	wind(numbers: readonly number[]): Promise<void>;
	/** Bytes that wait to be read (FIONREAD). */
	unread(number: number): Promise<number>;
	/** Options of each socket, with the most bytes that they have; `undefined` for those that it has not. */
	socketOptions(
		numbers: readonly number[],
		asked: readonly { readonly level: number; readonly option: number; readonly size: number }[],
	): Promise<readonly (readonly (Buffer | undefined)[])[]>;
	/** Whether a socket has a packet filter: of classic BPF, or of eBPF, which the kernel does not show (EACCES). */
	isFiltered(number: number): Promise<boolean>;
	/** Its own address, as getsockname(2) gives it. */
	socketName(number: number): Promise<Buffer | undefined>;
	/** What is asked of a copy of one. */
	borrow<T>(number: number, use: (copy: bigint) => Promise<T>): Promise<T>;
	/** The capacity of a pipe, and a copy of the bytes in it; `number` must be open for reading for the latter. */
	pipe(number: number, readable: boolean): Promise<{ readonly capacity: number; readonly content: Buffer }>;
	close(): Promise<void>;
}

export interface WatchedFile {
	readonly descriptor: number;
	readonly number: number;
	readonly which: number;
}

const PATIENCE = 30_000;

/** Bytes of a pipe that one request brings back. */
const CHUNK = 1 << 16;

/** @throws NecromancerError ERR_HOST, also from its functions. */
export async function copyDescriptorsOf(agent: Agent, pid: number): Promise<DescriptorCopies> {
	const pidfd = await agent.call("pidfd_open", pid, 0);
	if (pidfd < 0n) refuseCall(`process ${pid}`, "pidfd_open", pidfd);

	/** One word about each of many descriptors. */
	const each = async <T, R>(
		numbers: readonly number[],
		ask: (batch: SyscallBatch, copy: { readonly valueOf: Slot }) => T,
		read: (bytes: (slot: Slot) => Buffer, result: (slot: Slot) => bigint, asked: T) => R,
	): Promise<readonly R[]> => {
		const found: R[] = [];
		await inBatches(agent, numbers, {
			doing: "looking at descriptors",
			patience: PATIENCE,
			add: (batch, number) => {
				const copy = { valueOf: batch.call("pidfd_getfd", pidfd, number, 0) };
				const asked = ask(batch, copy);
				batch.call("close", copy);
				return asked;
			},
			read: (done, asked) => void found.push(read(done.bytes, done.result, asked)),
		});
		return found;
	};

	const borrow: DescriptorCopies["borrow"] = async (number, use) => {
		const copy = await agent.call("pidfd_getfd", pidfd, number, 0);
		if (copy < 0n) refuseCall(`descriptor ${number}`, "pidfd_getfd", copy);
		try {
			return await use(copy);
		} finally {
			await agent.call("close", copy);
		}
	};

	return {
		isWatched: async (epoll, asked) => {
			const found: (boolean | undefined)[] = [];
			await inBatches(agent, asked, {
				doing: "looking at what is watched",
				patience: PATIENCE,
				add: (batch, { descriptor, number, which }) => {
					const slot = batch.put(kcmpEpollSlot.encode({ efd: epoll, tfd: number, toff: which }));
					return batch.call("kcmp", pid, pid, KCMP.EPOLL_TFD, descriptor, slot);
				},
				read: (done, result) => {
					const order = done.result(result);
					// a number that is closed has no file
					found.push(order >= 0n ? order === 0n : failedWith(order, EBADF) ? false : undefined);
				},
			});
			return found;
		},
		owners: (numbers) =>
			each(
				numbers,
				(batch, copy) => {
					const owner = batch.space(fOwnerEx.size);
					batch.call("fcntl", copy, F.GETOWN_EX, owner);
					return { owner, signal: batch.call("fcntl", copy, F.GETSIG, 0) };
				},
				(bytes, result, { owner, signal }) => {
					const named = result(signal);
					return { ...fOwnerEx.decode(bytes(owner)), signal: named < 0n ? 0 : Number(named) };
				},
			),
		wind: async (numbers) => {
			await each(
				numbers,
				(batch, copy) => batch.call("timerfd_gettime", copy, batch.space(itimerspec.size)),
				() => undefined,
			);
		},
		unread: async (number) => {
			const [waiting = 0] = await each(
				[number],
				(batch, copy) => {
					const count = batch.space(u32.size);
					batch.call("ioctl", copy, FIONREAD, count);
					return count;
				},
				(bytes, _, count) => u32.read(viewOf(bytes(count)), 0),
			);
			return waiting;
		},
		socketOptions: (numbers, asked) =>
			each(
				numbers,
				(batch, copy) =>
					asked.map(({ level, option, size }) => {
						const [value, length] = [batch.space(size), batch.put(i32Bytes(size))];
						return { value, length, result: batch.call("getsockopt", copy, level, option, value, length) };
					}),
				(bytes, result, answers) =>
					answers.map(({ value, length, result: answer }) =>
						result(answer) < 0n ? undefined : filled(bytes(value), bytes(length)),
					),
			),
		isFiltered: async (number) => {
			const [filtered = false] = await each(
				[number],
				(batch, copy) => {
					// folklore: its length is counted in instructions, and so many are written, whatever room there is (net/core/filter.c,
					// sk_get_filter): whoever asks for them by bytes has his own memory overwritten with what another user chose. 0 asks
					// how many there are
					const [nothing, length] = [batch.space(u32.size), batch.put(i32Bytes(0))];
					return { length, result: batch.call("getsockopt", copy, SOL_SOCKET, SO.ATTACH_FILTER, nothing, length) };
				},
				(bytes, result, { length, result: answer }) =>
					failedWith(result(answer), EACCES) || u32.read(viewOf(bytes(length)), 0) > 0,
			);
			return filtered;
		},
		socketName: async (number) => {
			const [name] = await each(
				[number],
				(batch, copy) => {
					const [name, length] = [batch.space(MOST_SOCKADDR), batch.put(i32Bytes(MOST_SOCKADDR))];
					return { name, length, result: batch.call("getsockname", copy, name, length) };
				},
				(bytes, result, { name, length, result: answer }) =>
					result(answer) < 0n ? undefined : filled(bytes(name), bytes(length)),
			);
			return name;
		},
		borrow,
		pipe: (number, readable) =>
			borrow(number, async (copy) => {
				const capacity = Number(await agent.call("fcntl", copy, F.GETPIPE_SZ, 0));
				const content = readable ? await copyOf(agent, number, copy, capacity) : Buffer.alloc(0);
				return { capacity, content };
			}),
		close: once(async () => void (await agent.call("close", pidfd))),
	};
}

/** As much of a buffer as the kernel says it has filled. */
const filled = (bytes: Buffer, length: Buffer): Buffer => Buffer.from(bytes.subarray(0, u32.read(viewOf(length), 0)));

/** A copy of the bytes in a pipe, by tee(2), which leaves them there. */
async function copyOf(agent: Agent, number: number, from: bigint, capacity: number): Promise<Buffer> {
	const count = new Uint8Array(8);
	await agent.call("ioctl", from, FIONREAD, count);
	const waiting = u32.read(viewOf(count), 0);
	if (waiting === 0) return Buffer.alloc(0);
	const ends = new Uint8Array(8);
	await agent.call("pipe2", ends, O.NONBLOCK);
	const [reader, writer] = [u32.read(viewOf(ends), 0), u32.read(viewOf(ends), 4)];
	const parts: Buffer[] = [];
	try {
		await agent.call("fcntl", writer, F.SETPIPE_SZ, capacity);
		const copied = await agent.call("tee", from, writer, capacity, SPLICE_F_NONBLOCK);
		if (copied !== BigInt(waiting))
			refuse("ERR_HOST", {
				subject: `descriptor ${number}`,
				finding: copied < 0n ? `tee failed with ${errnoName(Number(copied))}` : `tee copied ${copied} bytes`,
				expectation: `expected the ${waiting} that wait in the pipe`,
			});
		for (let done = 0; done < waiting; ) {
			const batch = agent.batch();
			const into = batch.space(CHUNK);
			const result = batch.call("read", reader, into, CHUNK);
			const read = await agent.perform(batch, { patience: PATIENCE, doing: "copying a pipe" });
			const got = Number(read.result(result));
			if (got <= 0) refuseCall(`descriptor ${number}`, "read", BigInt(got));
			parts.push(Buffer.from(read.bytes(into).subarray(0, got)));
			done += got;
		}
	} finally {
		await agent.call("close", reader);
		await agent.call("close", writer);
	}
	return Buffer.concat(parts);
}

const refuseCall = (subject: string, call: string, result: bigint): never =>
	refuse("ERR_HOST", { subject, finding: `${call} failed with ${errnoName(Number(result))}` });
