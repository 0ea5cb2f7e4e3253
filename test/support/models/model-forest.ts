import type { Model, ModelMemory } from "./model-kernel.ts";
import type { ModelInode, ModelSpace } from "./model-space.ts";

/*
 * A kernel of several processes: who is whose child, in which session and group (setsid(2), setpgid(2), clone3(2) with set_tid, by
 * kernel/sys.c and kernel/fork.c), whose descriptors are one, and which memory. Numbers are Linux's own. What it does not know it
 * leaves to others.
 */

export interface ModelProcess {
	readonly pid: number;
	readonly ppid: number;
	sid: number;
	pgid: number;
	readonly space: ModelSpace;
	table: Map<number, ModelFd>;
}

export interface ModelFd {
	readonly description: ModelOpen;
	closeOnExec: boolean;
}

/** An open file description; its identity is what kcmp(2) compares. */
export interface ModelOpen {
	readonly kind: string;
	/** Of a file. */
	readonly path?: string;
	/** Only its place is open. */
	readonly node?: boolean;
	/** What both ends of a pipe have, and both of a pair of sockets. */
	readonly channel?: object;
	readonly content?: Buffer;
	/** How often it was set going: timers, owners; what it watches. */
	deeds: string[];
	readonly inode?: ModelInode;
	/** Open for reading alone. */
	readonly readOnly?: boolean;
}

export interface ForestKernel {
	readonly model: Model;
	readonly processes: ReadonlyMap<number, ModelProcess>;
	/** The process that is cloned from another when a run begins with it. */
	adopt(pid: number, parent: number | undefined, space: ModelSpace, table: Map<number, ModelFd>): void;
}

const [EPERM, ESRCH, EBADF, EBUSY, EEXIST, EINVAL] = [-1n, -3n, -9n, -16n, -17n, -22n];
const [CLOEXEC, PATH] = [0o2000000, 0o10000000];
const [CLONE_FILES, CLONE_THREAD, CLONE_VM] = [0x400n, 0x1_0000n, 0x100n];

export function modelForest(): ForestKernel {
	const processes = new Map<number, ModelProcess>();
	const taken = (id: number): boolean => [...processes.values()].some((it) => [it.pid, it.sid, it.pgid].includes(id));

	const setsid = (own: ModelProcess): bigint => {
		if ([...processes.values()].some(({ pgid }) => pgid === own.pid)) return EPERM;
		own.sid = own.pgid = own.pid;
		return BigInt(own.pid);
	};
	const setpgid = (own: ModelProcess, whom: number, group: number): bigint => {
		const pid = whom === 0 ? own.pid : whom;
		const pgid = group === 0 ? pid : group;
		const target = processes.get(pid);
		if (pgid < 0) return EINVAL;
		if (target === undefined) return ESRCH;
		if (target.ppid === own.pid) {
			if (target.sid !== own.sid) return EPERM;
		} else if (target !== own) return ESRCH;
		if (target.sid === target.pid) return EPERM;
		const led = [...processes.values()].some((it) => it.pgid === pgid && it.sid === own.sid);
		if (pgid !== pid && !led) return EPERM;
		target.pgid = pgid;
		return 0n;
	};

	const lowest = ({ table }: ModelProcess, from = 0): number => {
		let number = from;
		while (table.has(number)) number++;
		return number;
	};
	const give = (own: ModelProcess, description: ModelOpen, closeOnExec: boolean, from = 0): bigint => {
		const number = lowest(own, from);
		own.table.set(number, { description, closeOnExec });
		return BigInt(number);
	};
	const fresh = (own: ModelProcess, kind: string, flags: bigint, more: Partial<ModelOpen> = {}): bigint =>
		give(own, { kind, deeds: [], ...more }, (Number(flags) & CLOEXEC) !== 0);
	const two = (memory: ModelMemory, at: bigint, [a, b]: readonly bigint[]): bigint => {
		const words = Buffer.alloc(8);
		words.writeInt32LE(Number(a), 0);
		words.writeInt32LE(Number(b), 4);
		memory.write(at, words);
		return 0n;
	};
	const open = (own: ModelProcess, path: string, flags: bigint): bigint => {
		const number = /^\/proc\/self\/fd\/(\d+)(?:\/\.)?$/.exec(path)?.[1];
		const from = number === undefined ? undefined : own.table.get(Number(number))?.description;
		if (from === undefined) return fresh(own, "file", flags, { path });
		const { node: _node, ...what } = from;
		return fresh(own, from.kind, flags, {
			...what,
			deeds: [],
			...(from.inode === undefined ? {} : { readOnly: (flags & 3n) === 0n }),
			...((Number(flags) & PATH) !== 0 ? { node: true } : {}),
		});
	};
	const read = ({ content }: ModelOpen, offset: bigint, length: bigint): Buffer | undefined =>
		content?.subarray(Number(offset), Number(offset + length));

	/** Refused while anybody could write through a mapping (mm/memfd.c). */
	const seal = (inode: ModelInode | undefined, seals: number): bigint => {
		if (inode?.seals === undefined) return EINVAL;
		const shown = [...processes.values()].flatMap(({ space }) => [...space.pages.values()]);
		const written = shown.some((page) => page.inode === inode && page.shared && page.readOnly !== true);
		if ((seals & 8) !== 0 && written) return EBUSY;
		inode.seals |= seals;
		return 0n;
	};

	const files = (
		own: ModelProcess,
		number: number,
		args: readonly bigint[],
		memory: ModelMemory,
	): bigint | undefined => {
		const [a = 0n, b = 0n, c = 0n, d = 0n] = args;
		switch (number) {
			case 257:
				return open(own, text(memory, b), c);
			case 293: {
				const channel = {};
				return two(memory, a, [fresh(own, "pipe", b, { channel }), fresh(own, "pipe", b, { channel })]);
			}
			case 53: {
				const channel = {};
				return two(
					memory,
					d,
					[0, 1].map(() => fresh(own, "socket-pair", b, { channel })),
				);
			}
			case 319:
				return fresh(own, "memfd", 0n, { inode: { name: text(memory, a), pages: new Map(), seals: 0 } });
			case 290:
				return fresh(own, "eventfd", b);
			case 291:
				return fresh(own, "epoll", a);
			case 289:
				return fresh(own, "signalfd", d);
			case 283:
				return fresh(own, "timerfd", b);
			case 436:
				for (const number of [...own.table.keys()]) if (number >= a && number <= b) own.table.delete(number);
				return 0n;
		}
		const entry = own.table.get(fd(a));
		if (![3, 17, 72, 77, 91, 93, 286, 292, 295, 233].includes(number)) return undefined;
		if (entry === undefined) return EBADF;
		const { description } = entry;
		const { inode } = description;
		switch (number) {
			case 77:
				return 0n;
			case 91:
				if (inode !== undefined) inode.mode = Number(b);
				return 0n;
			case 93:
				if (inode !== undefined) inode.owner = [b, c];
				return 0n;
			case 3:
				own.table.delete(fd(a));
				return 0n;
			case 292:
				if (a === b) return EINVAL;
				own.table.set(fd(b), { description, closeOnExec: (Number(c) & CLOEXEC) !== 0 });
				return b;
			case 72:
				if (b === 1030n) {
					const given = give(own, description, true, Number(c));
					// the report socket is known to whoever reads and writes it
					return description.kind === "report" ? undefined : given;
				}
				if (b === 1033n) return seal(inode, Number(c));
				if (b === 2n) entry.closeOnExec = (c & 1n) === 1n;
				else if (b === 15n) description.deeds.push("owner");
				return 0n;
			case 286:
				description.deeds.push("timer");
				return 0n;
			case 233:
				if (!own.table.has(fd(c))) return EBADF;
				description.deeds.push(`watches ${c}`);
				return 0n;
			case 17: {
				const got = read(description, d, c);
				if (got === undefined) return EINVAL;
				memory.write(b, got);
				return BigInt(got.length);
			}
			default: {
				let at = d;
				let sum = 0n;
				for (let i = 0n; i < c; i++) {
					const piece = Buffer.from(memory.read(b + i * 16n, 16));
					const got = read(description, at, piece.readBigUInt64LE(8));
					if (got === undefined) return EINVAL;
					memory.write(piece.readBigUInt64LE(0), got);
					at += BigInt(got.length);
					sum += BigInt(got.length);
				}
				return sum;
			}
		}
	};

	const call: Model["call"] = (number, args, memory, { pid }) => {
		const own = processes.get(pid);
		if (own === undefined) throw new Error(`no process ${pid}`);
		const [a = 0n, b = 0n] = args;
		switch (number) {
			case 9: {
				const { inode, readOnly } = own.table.get(fd(args[4] ?? 0n))?.description ?? {};
				return own.space.mmap(args, inode, readOnly);
			}
			case 11:
				return own.space.munmap(a, b);
			case 25:
				return own.space.mremap(args);
			case 28:
				return own.space.madvise(a, b, args[2] ?? 0n);
			case 109:
				return setpgid(own, Number(a), Number(b));
			case 112:
				return setsid(own);
			default:
				return files(own, number, args, memory);
		}
	};

	const flagsIn = (cloneArgs: Uint8Array): bigint =>
		new DataView(cloneArgs.buffer, cloneArgs.byteOffset).getBigUint64(0, true);

	const refused: Model["refused"] = ({ tid }, cloneArgs) => {
		const flags = flagsIn(cloneArgs);
		if ((flags & CLONE_THREAD) !== 0n) return undefined;
		if ((flags & CLONE_VM) !== 0n) throw new Error("a process with the memory of another");
		// an id is free when no process, session or group has it any more
		return taken(tid) ? EEXIST : undefined;
	};

	const spawned: Model["spawned"] = ({ pid }, cloneArgs, memory, parent) => {
		const maker = processes.get(parent?.pid ?? 0);
		if (maker === undefined || (flagsIn(cloneArgs) & CLONE_THREAD) !== 0n) return;
		const table = (flagsIn(cloneArgs) & CLONE_FILES) !== 0n ? maker.table : copyOf(maker.table);
		const { sid, pgid } = maker;
		processes.set(pid, { pid, ppid: maker.pid, sid, pgid, space: memory as ModelSpace, table });
	};

	return {
		model: { call, refused, spawned },
		processes,
		adopt: (pid, parent, space, table) => {
			const maker = parent === undefined ? undefined : processes.get(parent);
			processes.set(pid, {
				...{ pid, ppid: parent ?? 0, sid: maker?.sid ?? pid, pgid: maker?.pgid ?? pid, space },
				table: copyOf(table),
			});
		},
	};
}

const copyOf = (table: ReadonlyMap<number, ModelFd>): Map<number, ModelFd> =>
	new Map([...table].map(([number, entry]) => [number, { ...entry }]));

/** The kernel looks at the lower half of a register. */
const fd = (word: bigint): number => Number(BigInt.asIntN(32, word));

function text(memory: ModelMemory, at: bigint): string {
	const found: number[] = [];
	for (let next = at; ; next++) {
		const [byte = 0] = memory.read(next, 1);
		if (byte === 0) return Buffer.from(found).toString("utf8");
		found.push(byte);
	}
}
