import type { Model, ModelMemory, ModelTask } from "./model-kernel.ts";

/*
 * A kernel that knows processes as such: threads and what each has, signals, timers, limits, and who may do what. Numbers
 * are Linux's, written out here; rules are those of kernel/cred.c, kernel/sys.c, security/commoncap.c, kernel/signal.c and
 * kernel/time/posix-timers.c.
 */

export interface ModelCredentials {
	uid: number[];
	gid: number[];
	fsuid: number;
	fsgid: number;
	groups: number[];
	effective: bigint;
	permitted: bigint;
	inheritable: bigint;
	ambient: bigint;
	bounding: bigint;
	securebits: number;
	noNewPrivileges: boolean;
}

export interface ModelThread {
	readonly tid: number;
	name: string;
	fsBase: bigint;
	gsBase: bigint;
	clearTid?: bigint;
	robustList?: bigint;
	rseq?: { readonly area: bigint; readonly size: number; readonly signature: number };
	nice: number;
	policy: number;
	priority: number;
	parentDeathSignal: number;
	mask: bigint;
	readonly pending: string[];
	credentials: ModelCredentials;
}

export interface ModelProcess {
	readonly threads: Map<number, ModelThread>;
	session: number;
	group: number;
	readonly limits: Map<number, readonly [bigint, bigint]>;
	readonly actions: Map<number, readonly bigint[]>;
	readonly pending: string[];
	/** Microseconds: interval, remaining. */
	readonly intervalTimers: Map<number, readonly [bigint, bigint]>;
	readonly timers: Map<number, ModelTimer>;
	/** /proc/self/oom_score_adj. */
	oomScore: number;
	/** PR_SET_CHILD_SUBREAPER. */
	subreaper: boolean;
}

export interface ModelTimer {
	readonly clock: number;
	readonly value: bigint;
	readonly signal: number;
	readonly notify: number;
	readonly thread: number;
	/** Nanoseconds. */
	interval: bigint;
	remaining: bigint;
}

export interface ThreadsKernel {
	readonly credentials: ModelCredentials;
	/** Whether prctl(PR_TIMER_CREATE_RESTORE_IDS) is known (Linux 6.15). */
	readonly restoreIds: boolean;
	readonly nice: number;
	readonly hardLimit: bigint;
}

const ALL = (1n << 64n) - 1n;
const [EPERM, ESRCH, EACCES, EBUSY, EINVAL] = [-1n, -3n, -13n, -16n, -22n];
const CAP = { SETGID: 6, SETUID: 7, SETPCAP: 8, SYS_NICE: 23, SYS_RESOURCE: 24 };
/** The descriptor that it is opened as. */
const OOM_SCORE_ADJ = 1000n;
const [NO_SETUID_FIXUP, NO_AMBIENT_RAISE] = [4, 64];

export const allCapable = (): ModelCredentials => ({
	...{ uid: [0, 0, 0], gid: [0, 0, 0], fsuid: 0, fsgid: 0, groups: [7] },
	...{ effective: (1n << 41n) - 1n, permitted: (1n << 41n) - 1n, inheritable: 0n, ambient: 0n },
	...{ bounding: (1n << 41n) - 1n, securebits: 0, noNewPrivileges: false },
});

export function modelThreads(kernel: ThreadsKernel): { readonly model: Model; readonly process: ModelProcess } {
	const threads = new Map<number, ModelThread>();
	const process: ModelProcess = {
		...{ threads, session: 0, group: 0, limits: new Map(), actions: new Map(), pending: [] },
		...{ intervalTimers: new Map(), timers: new Map(), oomScore: 0, subreaper: false },
	};
	let restoring = false;
	let nextTimer = 0;

	const own = ({ tid }: ModelTask): ModelThread => {
		const thread = threads.get(tid);
		if (thread === undefined) throw new Error(`no thread ${tid}`);
		return thread;
	};
	const can = ({ credentials }: ModelThread, capability: number): boolean =>
		((credentials.effective >> BigInt(capability)) & 1n) === 1n;

	/** commit_creds: the signal of a dying parent is forgotten by who becomes another. */
	const commit = (thread: ModelThread, fresh: ModelCredentials): bigint => {
		const { credentials: old } = thread;
		const another = old.uid[1] !== fresh.uid[1] || old.gid[1] !== fresh.gid[1];
		if (another || old.fsuid !== fresh.fsuid || old.fsgid !== fresh.fsgid || (fresh.permitted & ~old.permitted) !== 0n)
			thread.parentDeathSignal = 0;
		thread.credentials = fresh;
		return 0n;
	};

	const setIds = (thread: ModelThread, kind: "uid" | "gid", wanted: readonly bigint[]): bigint => {
		const { credentials } = thread;
		const ids = wanted.map((id) => Number(BigInt.asUintN(32, id)));
		const free = can(thread, kind === "uid" ? CAP.SETUID : CAP.SETGID);
		if (!free && ids.some((id) => !credentials[kind].includes(id))) return EPERM;
		const fresh = { ...credentials, [kind]: ids, [kind === "uid" ? "fsuid" : "fsgid"]: ids[1] };
		if (kind === "uid" && (credentials.securebits & NO_SETUID_FIXUP) === 0) {
			if (credentials.uid.includes(0) && !ids.includes(0)) fresh.permitted = fresh.effective = fresh.ambient = 0n;
			if (credentials.uid[1] === 0 && ids[1] !== 0) fresh.effective = 0n;
			if (credentials.uid[1] !== 0 && ids[1] === 0) fresh.effective = fresh.permitted;
		}
		return commit(thread, fresh);
	};

	const setFsId = (thread: ModelThread, kind: "uid" | "gid", id: number): bigint => {
		const field = kind === "uid" ? "fsuid" : "fsgid";
		const { credentials } = thread;
		const old = BigInt(credentials[field]);
		const free = can(thread, kind === "uid" ? CAP.SETUID : CAP.SETGID);
		if (free || [...credentials[kind], credentials[field]].includes(id))
			commit(thread, { ...credentials, [field]: id });
		return old;
	};

	const capset = (thread: ModelThread, memory: ModelMemory, header: bigint, data: bigint): bigint => {
		if (u32(memory, header) !== 0x20080522 || u32(memory, header + 4n) !== 0) return EINVAL;
		const set = (at: bigint): bigint => BigInt(u32(memory, data + at)) | (BigInt(u32(memory, data + at + 12n)) << 32n);
		const [effective, permitted, inheritable] = [set(0n), set(4n), set(8n)];
		const { credentials: old } = thread;
		const within = (a: bigint, b: bigint): boolean => (a & ~b) === 0n;
		if (!can(thread, CAP.SETPCAP) && !within(inheritable, old.inheritable | old.permitted)) return EPERM;
		if (!within(inheritable, old.inheritable | old.bounding)) return EPERM;
		if (!within(permitted, old.permitted) || !within(effective, permitted)) return EPERM;
		const ambient = old.ambient & permitted & inheritable;
		return commit(thread, { ...old, effective, permitted, inheritable, ambient });
	};

	const prctl = (thread: ModelThread, memory: ModelMemory, args: readonly bigint[]): bigint | undefined => {
		const [option = 0n, a = 0n, b = 0n, c = 0n, d = 0n] = args;
		const { credentials } = thread;
		switch (Number(option)) {
			case 1:
				if (a > 64n) return EINVAL;
				thread.parentDeathSignal = Number(a);
				return 0n;
			case 4:
				if (a > 1n) return EINVAL;
				return 0n;
			case 15:
				thread.name = text(memory, a).slice(0, 15);
				return 0n;
			case 24:
				if (!can(thread, CAP.SETPCAP)) return EPERM;
				if (a > 40n) return EINVAL;
				credentials.bounding &= ~(1n << a);
				return 0n;
			case 28:
				if (!can(thread, CAP.SETPCAP)) return EPERM;
				credentials.securebits = Number(a);
				return 0n;
			case 36:
				process.subreaper = a !== 0n;
				return 0n;
			case 38:
				if (a !== 1n || (b | c | d) !== 0n) return EINVAL;
				credentials.noNewPrivileges = true;
				return 0n;
			case 47: {
				const bit = 1n << b;
				if (a !== 2n || (c | d) !== 0n) return EINVAL;
				if ((credentials.permitted & credentials.inheritable & bit) === 0n) return EPERM;
				if ((credentials.securebits & NO_AMBIENT_RAISE) !== 0) return EPERM;
				credentials.ambient |= bit;
				return 0n;
			}
			case 77:
				if (!kernel.restoreIds) return EINVAL;
				restoring = a === 1n;
				return 0n;
			default:
				return undefined;
		}
	};

	const schedule = (thread: ModelThread, policy: number, priority: number): bigint => {
		const kind = policy & ~0x4000_0000;
		const real = kind === 1 || kind === 2;
		if (![0, 1, 2, 3, 5].includes(kind)) return EINVAL;
		if (real ? priority < 1 || priority > 99 : priority !== 0) return EINVAL;
		if (real && !can(thread, CAP.SYS_NICE)) return EPERM;
		thread.policy = policy;
		thread.priority = priority;
		return 0n;
	};

	const timerCreate = (memory: ModelMemory, clock: bigint, event: bigint, into: bigint): bigint => {
		const wanted = i32(memory, into);
		const notify = i32(memory, event + 12n);
		const thread = i32(memory, event + 16n);
		if (notify === 4 && !threads.has(thread)) return EINVAL;
		const id = restoring ? wanted : nextTimer;
		if (process.timers.has(id)) return EBUSY;
		nextTimer = id + 1;
		process.timers.set(id, {
			...{ clock: Number(BigInt.asIntN(32, clock)), value: u64(memory, event), signal: i32(memory, event + 8n) },
			...{ notify, thread, interval: 0n, remaining: 0n },
		});
		const bytes = new Uint8Array(4);
		view(bytes).setInt32(0, id, true);
		memory.write(into, bytes);
		return 0n;
	};

	const call = (number: number, args: readonly bigint[], memory: ModelMemory, task: ModelTask): bigint | undefined => {
		const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = args;
		const thread = own(task);
		switch (number) {
			case 1: {
				if (a !== OOM_SCORE_ADJ) return undefined;
				const score = Number(Buffer.from(memory.read(b, Number(c))).toString());
				if (score < process.oomScore && !can(thread, CAP.SYS_RESOURCE)) return EACCES;
				process.oomScore = score;
				return c;
			}
			case 257:
				return text(memory, b, 64) === "/proc/self/oom_score_adj" ? OOM_SCORE_ADJ : undefined;
			case 3:
				return 0n;
			case 13:
				if (d !== 8n || [9n, 19n].includes(a)) return EINVAL;
				process.actions.set(
					Number(a),
					[0n, 8n, 16n, 24n].map((at) => u64(memory, b + at)),
				);
				return 0n;
			case 14:
				if (a !== 2n || d !== 8n) return EINVAL;
				thread.mask = u64(memory, b);
				return 0n;
			case 38:
				process.intervalTimers.set(Number(a), [seconds(memory, b, 1_000_000n), seconds(memory, b + 16n, 1_000_000n)]);
				return 0n;
			case 102:
				return BigInt(thread.credentials.uid[0] ?? 0);
			case 104:
				return BigInt(thread.credentials.gid[0] ?? 0);
			case 107:
				return BigInt(thread.credentials.uid[1] ?? 0);
			case 108:
				return BigInt(thread.credentials.gid[1] ?? 0);
			case 112:
				if (process.session === task.pid) return EPERM;
				process.session = process.group = task.pid;
				return BigInt(task.pid);
			case 116:
				if (!can(thread, CAP.SETGID)) return EPERM;
				thread.credentials.groups = Array.from({ length: Number(a) }, (_, i) => u32(memory, b + BigInt(4 * i)));
				return 0n;
			case 117:
				return setIds(thread, "uid", [a, b, c]);
			case 119:
				return setIds(thread, "gid", [a, b, c]);
			case 122:
				return setFsId(thread, "uid", Number(a));
			case 123:
				return setFsId(thread, "gid", Number(a));
			case 126:
				return capset(thread, memory, a, b);
			case 129:
			case 297: {
				// the threads are not ready for any of them
				if ([...threads.values()].some(({ mask }) => mask !== ALL)) throw new Error("a signal gets through");
				const [target, signal, info] = number === 129 ? [a, b, c] : [b, c, d];
				if (number === 297 && a !== BigInt(task.pid)) return ESRCH;
				const code = i32(memory, info + 8n);
				if ((code >= 0 || code === -6) && target !== BigInt(task.tid)) return EPERM;
				const bytes = Buffer.from(memory.read(info, 128));
				bytes.writeInt32LE(Number(signal), 0);
				(number === 129 ? process : thread).pending.push(bytes.toString("hex"));
				return 0n;
			}
			case 141: {
				const nice = Number(BigInt.asIntN(32, c));
				if (a !== 0n || b !== 0n) return EINVAL;
				if (nice < thread.nice && !can(thread, CAP.SYS_NICE)) return EACCES;
				thread.nice = nice;
				return 0n;
			}
			case 144:
				return a === 0n ? schedule(thread, Number(b), i32(memory, c)) : EINVAL;
			case 157:
				return prctl(thread, memory, args);
			case 158:
				if (a === 0x1002n) thread.fsBase = b;
				else if (a === 0x1001n) thread.gsBase = b;
				else return undefined;
				return b < 0x7fff_ffff_f000n ? 0n : EPERM;
			case 202: {
				// FUTEX_WAKE_OP with FUTEX_OP_SET; the rest is for those who wait
				if ((b & 127n) !== 5n || f >> 28n !== 0n) return undefined;
				const value = new Uint8Array(4);
				view(value).setUint32(0, Number((f >> 12n) & 0xfffn), true);
				memory.write(e, value);
				return 1n;
			}
			case 218:
				thread.clearTid = a;
				return BigInt(task.tid);
			case 222:
				return timerCreate(memory, a, b, c);
			case 223: {
				const timer = process.timers.get(Number(a));
				if (timer === undefined || b !== 0n) return EINVAL;
				timer.interval = seconds(memory, c, 1_000_000_000n);
				timer.remaining = seconds(memory, c + 16n, 1_000_000_000n);
				return 0n;
			}
			case 225:
				return process.timers.has(Number(a)) ? 0n : EINVAL;
			case 226:
				return process.timers.delete(Number(a)) ? 0n : EINVAL;
			case 273:
				if (b !== 24n) return EINVAL;
				thread.robustList = a;
				return 0n;
			case 302: {
				const [soft, hard] = [u64(memory, c), u64(memory, c + 8n)];
				const known = process.limits.get(Number(b)) ?? [kernel.hardLimit, kernel.hardLimit];
				if (a !== 0n || soft > hard) return EINVAL;
				if (hard > known[1] && !can(thread, CAP.SYS_RESOURCE)) return EPERM;
				process.limits.set(Number(b), [soft, hard]);
				return 0n;
			}
			case 334:
				if (thread.rseq !== undefined) return EBUSY;
				thread.rseq = { area: a, size: Number(b), signature: Number(d) };
				return c === 0n ? 0n : EINVAL;
			default:
				return undefined;
		}
	};

	const spawned = ({ tid }: ModelTask): void => {
		const [parent] = threads.values();
		threads.set(tid, {
			tid,
			...{ name: "carrier", fsBase: 1n, gsBase: 1n, nice: kernel.nice, policy: 0, priority: 0, mask: 0n },
			...(parent === undefined
				? {}
				: { name: parent.name, nice: parent.nice, policy: parent.policy, mask: parent.mask }),
			credentials: structuredClone(parent?.credentials ?? kernel.credentials),
			parentDeathSignal: 0,
			pending: [],
		});
	};
	return { model: { call, spawned }, process };
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const u32 = (memory: ModelMemory, at: bigint): number => view(memory.read(at, 4)).getUint32(0, true);
const i32 = (memory: ModelMemory, at: bigint): number => view(memory.read(at, 4)).getInt32(0, true);
const u64 = (memory: ModelMemory, at: bigint): bigint => view(memory.read(at, 8)).getBigUint64(0, true);
const seconds = (memory: ModelMemory, at: bigint, unit: bigint): bigint =>
	u64(memory, at) * unit + u64(memory, at + 8n);

function text(memory: ModelMemory, at: bigint, most = 16): string {
	const bytes: number[] = [];
	for (let next = at; bytes.length < most; next++) {
		const [byte = 0] = memory.read(next, 1);
		if (byte === 0) break;
		bytes.push(byte);
	}
	return Buffer.from(bytes).toString("utf8");
}
