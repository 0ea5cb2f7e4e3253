import type { Arg, Datum, Place } from "../../../src/program/args.ts";
import type { Step } from "../../../src/program/program.ts";

/**
 * A kernel that knows descriptors and nothing else. It carries steps out as Linux 6 would, with Linux's own numbers
 * written out here: what a plan's steps come to is seen in the table. A step that does not return what it expects throws.
 */
export interface ModelKernel {
	readonly table: Map<number, Entry>;
	/** Directories that were made, by their paths. */
	readonly directories: Map<string, ModelNameless>;
	cwd: string;
	root: string;
	umask: number;
	run(steps: readonly Step[]): void;
}

export interface Entry {
	readonly description: ModelDescription;
	closeOnExec: boolean;
}

export interface ModelDescription {
	readonly kind: "file" | "pipe" | "eventfd" | "epoll" | "signalfd" | "timerfd" | "inotify" | "socket";
	flags: number;
	path?: string;
	/** Of a file without a name. */
	nameless?: ModelNameless;
	position: bigint;
	pipe?: ModelPipe;
	counter?: bigint;
	targets?: Map<number, { readonly description: ModelDescription; readonly events: number; readonly data: bigint }>;
	mask?: bigint;
	clock?: number;
	value?: bigint;
	interval?: bigint;
	/** Of an inotify instance: by number, and the lowest number that was never given. */
	watches?: Map<number, { readonly path: string; readonly mask: number }>;
	next?: number;
	socket?: ModelSocket;
	/** What was locked, by which call and command: types, and the bytes that are locked. */
	locks?: string[];
	owner?: { readonly type: number; readonly pid: number };
	signal?: number;
}

/** A regular file that never got a name, or a directory that was made. */
export interface ModelNameless {
	readonly directory: string;
	content: Buffer;
	mode: number;
	owner?: readonly [uid: number, gid: number];
	/** Seconds: read, written. */
	times?: readonly [bigint, bigint];
	/** Of a directory. */
	removed?: boolean;
}

/** How it was made, what was set (level and option; bytes in hexadecimal), and where it listens. */
export interface ModelSocket {
	readonly made: readonly [family: number, type: number, protocol: number];
	readonly options: Map<string, string>;
	bound?: string;
	backlog?: number;
}

export interface ModelPipe {
	capacity: number;
	content: Buffer;
}

/** What stands under a path. */
export type ModelFile = Buffer | "device" | "fifo" | "directory";

const E = {
	PERM: -1,
	BADF: -9,
	AGAIN: -11,
	EXIST: -17,
	INVAL: -22,
	SPIPE: -29,
	NOSYS: -38,
	NOENT: -2,
	BUSY: -16,
	NOTSOCK: -88,
};
const [APPEND, NONBLOCK, ASYNC, DIRECT, NOATIME, CLOEXEC, PATH] = [
	0x400, 0x800, 0x2000, 0x4000, 0x40000, 0x80000, 0x200000,
];
const TMPFILE = 0o20200000;
const SETTABLE = APPEND | NONBLOCK | ASYNC | DIRECT | NOATIME;
/** O_CREAT, O_EXCL, O_NOCTTY and O_TRUNC are forgotten once a file is open; FD_CLOEXEC is the descriptor's. */
const FORGOTTEN = 0x40 | 0x80 | 0x100 | 0x200 | CLOEXEC;

function noteLock(description: ModelDescription, lock: string): void {
	description.locks = [...(description.locks ?? []), lock];
}

export function modelKernel(
	files: ReadonlyMap<string, ModelFile>,
	reportFd: number,
	sources: readonly { readonly name: string; readonly node?: boolean; readonly number?: number }[] = [],
): ModelKernel {
	const memory = new Map<Datum, Buffer>();
	const fifos = new Map<string, ModelPipe>();
	const table = new Map<number, Entry>();
	const directories = new Map<string, ModelNameless>();
	const stray = (kind: "file" | "socket"): ModelDescription => ({ kind, flags: 2, position: 0n });
	for (const number of [0, 1, 2]) table.set(number, { description: stray("file"), closeOnExec: false });
	for (const number of [3, 4, reportFd]) table.set(number, { description: stray("socket"), closeOnExec: false });

	for (const [i, { name, node = false, number = reportFd + 1 + i }] of sources.entries())
		table.set(number, {
			description: { ...stray("file"), flags: node ? PATH : 0, path: name },
			closeOnExec: true,
		});

	const bytesOf = ({ datum, offset = 0 }: Place): Buffer => {
		const known = memory.get(datum) ?? Buffer.concat([datum.bytes, Buffer.alloc(datum.size - datum.bytes.length)]);
		memory.set(datum, known);
		return known.subarray(offset);
	};
	const place = (arg: Arg | undefined): Buffer => {
		if (typeof arg === "object" && "datum" in arg) return bytesOf(arg);
		throw new Error("EFAULT");
	};
	const text = (arg: Arg | undefined): string => {
		const bytes = place(arg);
		return bytes.toString("utf8", 0, bytes.indexOf(0));
	};
	const value = (arg: Arg | undefined): bigint => {
		if (arg === undefined) return 0n;
		if (typeof arg === "bigint") return arg;
		// every object has a `valueOf`: the others first
		if ("input" in arg) return BigInt(arg.input.number);
		if ("datum" in arg || "list" in arg) throw new Error("a pointer where a number belongs");
		return bytesOf(arg.valueOf).readBigInt64LE();
	};
	const int = (arg: Arg | undefined): number => Number(BigInt.asIntN(32, value(arg)));
	const lowest = (from = 0): number => {
		let number = from;
		while (table.has(number)) number++;
		return number;
	};
	const give = (description: ModelDescription, closeOnExec: boolean, from = 0): number => {
		const number = lowest(from);
		table.set(number, { description, closeOnExec });
		return number;
	};
	const anonymous = (kind: ModelDescription["kind"], access: number, flags: number, more: object): number =>
		give({ kind, flags: access | (flags & ~CLOEXEC), position: 0n, ...more }, (flags & CLOEXEC) !== 0);

	const open = (path: string, flags: number, mode: number): number => {
		const own = /^\/proc\/self\/fd\/(\d+)(?:\/\.)?$/.exec(path);
		const file = files.get(path);
		if ((flags & TMPFILE) === TMPFILE) {
			if (file !== "directory" || (flags & 3) === 0) return E.INVAL;
			const nameless: ModelNameless = { directory: path, content: Buffer.of(), mode };
			return give({ kind: "file", flags: flags & ~FORGOTTEN, position: 0n, nameless }, (flags & CLOEXEC) !== 0);
		}
		const same = own === null ? undefined : table.get(Number(own[1]))?.description.nameless;
		if (same !== undefined)
			return give({ kind: "file", flags: flags & ~FORGOTTEN, position: 0n, nameless: same }, (flags & CLOEXEC) !== 0);
		const node = own === null ? undefined : table.get(Number(own[1]))?.description;
		if (node?.path !== undefined && (node.flags & PATH) !== 0) return open(node.path, flags, mode);
		const from = node?.pipe;
		if (file === undefined && from === undefined) return E.NOENT;
		const fifo = fifos.get(path) ?? { capacity: 65536, content: Buffer.of() };
		if (file === "fifo") fifos.set(path, fifo);
		const pipe = from ?? (file === "fifo" ? fifo : undefined);
		if (pipe !== undefined) {
			const ends = descriptionsOf(pipe);
			const waits = (flags & 3) === 0 ? !ends.some(writes) : (flags & 3) === 1 && !ends.some(reads);
			if (waits) throw new Error(`open of ${path} waits for the other end`);
		}
		const more = pipe === undefined ? { path } : from === undefined ? { pipe, path } : { pipe };
		return give(
			{ kind: pipe === undefined ? "file" : "pipe", flags: flags & ~FORGOTTEN, position: 0n, ...more },
			(flags & CLOEXEC) !== 0,
		);
	};
	const descriptionsOf = (pipe: ModelPipe): ModelDescription[] =>
		[...new Set([...table.values()].map(({ description }) => description))].filter((it) => it.pipe === pipe);
	const writes = ({ flags }: ModelDescription): boolean => (flags & 3) !== 0;
	const reads = ({ flags }: ModelDescription): boolean => (flags & 3) !== 1;

	const write = (description: ModelDescription, bytes: Buffer): number => {
		const { kind, flags, pipe } = description;
		if (kind === "eventfd") {
			description.counter = (description.counter ?? 0n) + bytes.readBigUInt64LE();
			return 8;
		}
		if (pipe === undefined) return E.INVAL;
		if ((flags & 3) === 0) return E.BADF;
		if ((flags & NONBLOCK) === 0) throw new Error("a write that may wait");
		const room = pipe.capacity - pipe.content.length;
		if (room <= 0) return E.AGAIN;
		pipe.content = Buffer.concat([pipe.content, bytes.subarray(0, room)]);
		return Math.min(room, bytes.length);
	};
	const fcntl = (entry: Entry, args: readonly Arg[]): number => {
		const { description } = entry;
		const [, , third] = args;
		switch (int(args[1])) {
			case 2:
				entry.closeOnExec = int(third) === 1;
				return 0;
			case 4:
				description.flags = (description.flags & ~SETTABLE) | (int(third) & SETTABLE);
				return 0;
			case 6:
			case 37: {
				const range = place(third);
				const [type, start, length] = [range.readInt16LE(0), range.readBigInt64LE(8), range.readBigInt64LE(16)];
				if (range.readInt16LE(2) !== 0 || type > 1) return E.INVAL;
				noteLock(description, `${int(args[1]) === 6 ? "posix" : "ofd"} ${type} ${start} ${length}`);
				return 0;
			}
			case 1024:
				noteLock(description, `lease ${int(third)}`);
				// whoever takes it is told of its end
				description.owner = { type: 1, pid: -1 };
				return 0;
			case 10:
				description.signal = int(third);
				return 0;
			case 15: {
				const owner = place(third);
				const pid = owner.readInt32LE(4);
				if (pid === 0) delete description.owner;
				else description.owner = { type: owner.readInt32LE(0), pid };
				return 0;
			}
			case 1030:
				return give(description, true, int(third));
			case 1031:
				if (description.pipe === undefined) return E.BADF;
				if (description.pipe.content.length > int(third)) return E.BUSY;
				description.pipe.capacity = int(third);
				return int(third);
			default:
				return E.INVAL;
		}
	};
	const seconds = (bytes: Buffer, at: number): bigint =>
		bytes.readBigInt64LE(at) * 1_000_000_000n + bytes.readBigInt64LE(at + 8);

	const perform = (call: string, args: readonly Arg[]): number => {
		const [a, b, c, d] = args;
		switch (call) {
			case "close_range":
				for (const number of [...table.keys()])
					if (number >= Number(value(a)) && number <= Number(value(b))) table.delete(number);
				return 0;
			case "openat":
				if (int(a) !== -100) {
					const directory = table.get(int(a))?.description.path;
					const nameless = directories.get(below(directory, text(b)));
					const made = { kind: "file", flags: int(c) & ~FORGOTTEN, position: 0n } as const;
					if (nameless !== undefined) return give({ ...made, nameless }, (int(c) & CLOEXEC) !== 0);
					return text(b) !== "." || directory === undefined ? E.INVAL : open(directory, int(c), int(d));
				}
				return open(text(b), int(c), int(d));
			case "pipe2": {
				const pipe: ModelPipe = { capacity: 65536, content: Buffer.of() };
				const [low, high] = [0, 1].map((access) => anonymous("pipe", access, int(b), { pipe }));
				place(a).writeInt32LE(low ?? 0, 0);
				place(a).writeInt32LE(high ?? 0, 4);
				return 0;
			}
			case "eventfd2":
				return anonymous("eventfd", 2, int(b), { counter: BigInt.asUintN(32, value(a)) });
			case "epoll_create1":
				return (int(a) & ~CLOEXEC) !== 0 ? E.INVAL : anonymous("epoll", 2, int(a), { targets: new Map() });
			case "signalfd4":
				if (int(a) !== -1 || int(c) !== 8) return E.INVAL;
				return anonymous("signalfd", 2, int(d), { mask: place(b).readBigUInt64LE() });
			case "timerfd_create":
				return anonymous("timerfd", 2, int(b), { clock: int(a), counter: 0n, value: 0n, interval: 0n });
			case "inotify_init1":
				return anonymous("inotify", 0, int(a), { watches: new Map(), next: 1 });
			case "socket": {
				const [made, options] = [[int(a), int(b) & 0xf, int(c)] as const, new Map<string, string>()];
				return anonymous("socket", 2, int(b) & ~0xf, { socket: { made, options } });
			}
			case "setsockopt":
			case "bind":
			case "listen": {
				const socket = table.get(int(a))?.description.socket;
				if (socket === undefined) return table.has(int(a)) ? E.NOTSOCK : E.BADF;
				if (call === "setsockopt") {
					socket.options.set(`${int(b)} ${int(c)}`, place(d).subarray(0, int(args[4])).toString("hex"));
					return 0;
				}
				if (call === "listen") {
					socket.backlog = int(b);
					return 0;
				}
				const address = place(b).subarray(0, int(c)).toString("hex");
				const taken = [...table.values()].some(({ description }) => description.socket?.bound === address);
				if (socket.bound !== undefined || taken) return E.INVAL;
				socket.bound = address;
				return 0;
			}
			case "chroot":
				model.root = text(a) === "." ? model.cwd : text(a);
				return 0;
			case "umask": {
				const old = model.umask;
				model.umask = int(a);
				return old;
			}
		}
		const entry = table.get(int(a));
		if (entry === undefined) return E.BADF;
		const { description } = entry;
		switch (call) {
			case "close":
				table.delete(int(a));
				return 0;
			case "flock":
				if ((int(b) & 4) === 0) throw new Error("a lock that may wait");
				noteLock(description, `flock ${int(b) & ~4}`);
				return 0;
			case "fchdir":
				model.cwd = description.path ?? description.nameless?.directory ?? "";
				return 0;
			case "mkdirat": {
				const path = below(description.path, text(b));
				if (files.has(path) || directories.has(path)) return E.EXIST;
				directories.set(path, { directory: path, content: Buffer.of(), mode: int(c) });
				return 0;
			}
			case "unlinkat": {
				const path = below(description.path, text(b));
				const directory = directories.get(path);
				if (directory === undefined || int(c) !== 0x200) return E.NOENT;
				directories.delete(path);
				directory.removed = true;
				return 0;
			}
			case "linkat":
				// a directory has one name; where nothing can be made, that is said first
				return description.nameless?.removed === true ? E.NOENT : E.PERM;
			case "dup3":
				if (int(a) === int(b) || (int(c) & ~CLOEXEC) !== 0) return E.INVAL;
				table.set(int(b), { description, closeOnExec: int(c) === CLOEXEC });
				return int(b);
			case "fcntl":
				return fcntl(entry, args);
			case "sendfile": {
				const from = table.get(int(b))?.description;
				const source = files.get(from?.path ?? "");
				const into = description.nameless;
				if (!Buffer.isBuffer(source) || into === undefined || (description.flags & 3) === 0) return E.INVAL;
				const at = Number(place(c).readBigUInt64LE());
				const bytes = source.subarray(at, at + Number(value(d)));
				const start = Number(description.position);
				const whole = Buffer.alloc(Math.max(into.content.length, start + bytes.length));
				into.content.copy(whole);
				bytes.copy(whole, start);
				into.content = whole;
				description.position += BigInt(bytes.length);
				return bytes.length;
			}
			case "ftruncate": {
				const into = description.nameless;
				if (into === undefined) return E.INVAL;
				const whole = Buffer.alloc(Number(value(b)));
				into.content.copy(whole);
				into.content = whole;
				return 0;
			}
			case "fchown":
			case "fchmod":
			case "utimensat": {
				const { nameless } = description;
				if (call === "fchmod" && description.pipe !== undefined) return 0;
				if (nameless === undefined) return E.INVAL;
				if (call === "fchown") nameless.owner = [int(b), int(c)];
				else if (call === "fchmod") nameless.mode = int(b);
				else nameless.times = [place(c).readBigInt64LE(0), place(c).readBigInt64LE(16)];
				return 0;
			}
			case "lseek":
				if (description.kind !== "file" || (description.flags & PATH) !== 0) return E.SPIPE;
				// a device's offset stays where it is
				if (files.get(description.path ?? "") !== "device") description.position = value(b);
				return Number(description.position);
			case "pread64": {
				const file = files.get(description.path ?? "");
				if (!Buffer.isBuffer(file)) return E.INVAL;
				const bytes = file.subarray(Number(value(d)), Number(value(d) + value(c)));
				bytes.copy(place(b));
				return bytes.length;
			}
			case "write":
				return write(description, place(b).subarray(0, Number(value(c))));
			case "epoll_ctl": {
				const target = table.get(int(c))?.description;
				const targets = description.targets;
				if (targets === undefined || int(b) !== 1) return E.INVAL;
				if (target === undefined) return E.BADF;
				if (target.kind === "file") return E.PERM;
				// the kernel knows it by file and number
				if (targets.get(int(c))?.description === target) return E.EXIST;
				const event = place(d);
				targets.set(int(c), {
					description: target,
					events: event.readUInt32LE(0),
					data: event.readBigUInt64LE(4),
				});
				return 0;
			}
			case "timerfd_settime":
				description.interval = seconds(place(c), 0);
				description.value = seconds(place(c), 16);
				description.counter = 0n;
				return int(b) === 0 && value(d) === 0n ? 0 : E.INVAL;
			case "inotify_add_watch": {
				const node = /^\/proc\/self\/fd\/(\d+)$/.exec(text(b));
				const path = table.get(Number(node?.[1]))?.description.path;
				if (description.watches === undefined || path === undefined) return E.INVAL;
				const number = description.next ?? 1;
				description.watches.set(number, { path, mask: Number(BigInt.asUintN(32, value(c))) });
				description.next = number + 1;
				return number;
			}
			case "read":
				// nothing is ever waiting in one
				return description.kind === "inotify" && (description.flags & NONBLOCK) !== 0 ? E.AGAIN : E.INVAL;
			case "ioctl":
				if (value(b) === 0x40044900n && description.kind === "inotify") {
					description.next = int(c);
					return 0;
				}
				if (value(b) !== 0x40085400n || description.kind !== "timerfd") return E.INVAL;
				description.counter = place(c).readBigUInt64LE();
				return 0;
			default:
				return E.NOSYS;
		}
	};

	const model: ModelKernel = {
		...{ table, directories },
		cwd: "/agent",
		root: "/",
		umask: 0o22,
		run: (steps) => {
			for (const step of steps) {
				const result = perform(step.call, step.args);
				if (step.save !== undefined) bytesOf(step.save).writeBigInt64LE(BigInt(result));
				if (!satisfied(step, result))
					throw new Error(`${step.call}(${step.args.map(argText).join(", ")}) (${step.why}) returned ${result}`);
			}
		},
	};
	return model;
}

const below = (directory: string | undefined, name: string): string => `${directory === "/" ? "" : directory}/${name}`;

function satisfied({ expect }: Step, result: number): boolean {
	if (expect === "anything") return true;
	if (expect === "success") return result >= 0;
	// nothing ever waits: what repeats fails at once
	if (expect === "until-error") return result < 0;
	return "exactly" in expect ? BigInt(result) === expect.exactly : result >= 0 || result === -expect.successOr;
}

function argText(arg: Arg): string {
	if (typeof arg === "bigint") return `${arg}`;
	if ("datum" in arg) return arg.datum.name;
	if ("input" in arg) return `${arg.input.number}<${arg.input.name}>`;
	return "list" in arg ? arg.list : `*${arg.valueOf.datum.name}`;
}
