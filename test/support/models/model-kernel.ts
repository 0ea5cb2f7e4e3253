/*
 * A kernel in the small, that runs what the blob would run. It reads the bytes of a plan by the letter of src/blob/blob.h and
 * knows nothing of what wrote them. What system calls do is told by models: of memory, of files, of threads.
 */

/** Memory by absolute address. Reading or writing where there is none throws. */
export interface ModelMemory {
	read(at: bigint, length: number): Uint8Array;
	write(at: bigint, bytes: Uint8Array): void;
	/** What a new process gets, where there is more than one. */
	fork?(): ModelMemory;
}

/** Who makes a call. */
export interface ModelTask {
	readonly pid: number;
	readonly tid: number;
}

/** What the step of a call says of it: EXPECT_ number and what it wants. */
export interface ModelStep {
	readonly id: number;
	readonly expect: number;
	readonly want: bigint;
}

/** A part of the kernel. */
export interface Model {
	/**
	 * What a call returns, errors as -errno; `undefined` when it is none of this model's business. Arguments are unsigned,
	 * six of them.
	 */
	call(
		number: number,
		args: readonly bigint[],
		memory: ModelMemory,
		task: ModelTask,
		step: ModelStep,
	): bigint | undefined;
	/** Told of each task before its first step. */
	spawned?(task: ModelTask, cloneArgs: Uint8Array, memory: ModelMemory, parent?: ModelTask): void;
	/** The error of clone3, where a task cannot be made. */
	refused?(task: ModelTask, cloneArgs: Uint8Array, parent: ModelTask): bigint | undefined;
}

export interface Report {
	readonly task: bigint;
	readonly id: bigint;
	readonly result: bigint;
}

/** A call that was made, in the order of the making. */
export interface Called {
	readonly tid: number;
	readonly id: number;
	/** As in the step: a system call, or a deed of the blob. */
	readonly number: number;
	readonly args: readonly bigint[];
	readonly result: bigint;
}

export interface Outcome {
	readonly calls: readonly Called[];
	/** What was told over the report socket, ready messages (id 0) included. */
	readonly reports: readonly Report[];
	/** Threads that left for the life they come from, with the stack pointer of the frame. */
	readonly left: readonly { readonly tid: number; readonly frame: bigint }[];
	readonly exited: readonly { readonly tid: number; readonly status: number; readonly group: boolean }[];
	/** Threads that wait for a word that nobody will ever say. */
	readonly waiting: readonly number[];
}

export interface ModelRun {
	readonly pieces: readonly { readonly at: bigint; readonly bytes: Uint8Array }[];
	readonly memory: ModelMemory;
	readonly models: readonly Model[];
	readonly pid: number;
	/** The first step of the first task. */
	readonly steps: bigint;
	readonly context: bigint;
}

const STEP = 72;
const REPORT = 24;
const END = 0xff00;
const SPAWN = 0xff01;
const AWAIT = 0xff02;
const LEAVE = 0xff03;
const CPUID = 0xff04;
const CLONE = 0xff06;
const [ANYTHING, SUCCESS, EXACTLY, SUCCESS_OR, REPEAT] = [0, 1, 2, 3, 4];
const [READ, WRITE, EXIT, FCNTL, GETTID, FUTEX, EXIT_GROUP] = [0, 1, 60, 72, 186, 202, 231];
const F_DUPFD_CLOEXEC = 1030n;
const FUTEX_WAKE_OP = 5n;
const ENOSYS = 38n;
const ESRCH = 3n;

/** What a step calls that is to fail. */
const NO_CALL = 0xfe00;

const FAILED = 111;
const CLONE_THREAD = 0x1_0000n;

/** Where the tasks of a plan report, when they begin. */
const REPORT_FD = 4n;

/** No plan for the fixtures has another descriptor as high, but that of reports and those in passing. */
const REPORT_FDS = 64n;

interface Running extends ModelTask {
	step: bigint;
	readonly context: bigint;
	readonly memory: ModelMemory;
}

/** Runs a plan's tasks until each has left, ended or waits for ever. They take turns only where one waits. */
export function runModel({ pieces, memory: first, models, pid, steps, context }: ModelRun): Outcome {
	for (const { at, bytes } of pieces) first.write(at, bytes);
	const calls: Called[] = [];
	const reports: Report[] = [];
	const left: { tid: number; frame: bigint }[] = [];
	const exited: { tid: number; status: number; group: boolean }[] = [];
	const reportFds = new Set([REPORT_FD]);
	let nextTid = pid + 1000;
	let running: Running[] = [{ pid, tid: pid, step: steps, context, memory: first }];
	for (const task of running) for (const model of models) model.spawned?.(task, new Uint8Array(), first);

	const word = (memory: ModelMemory, at: bigint): bigint => viewOf(memory.read(at, 8)).getBigUint64(0, true);
	const tell = (report: Report): void => void reports.push(report);

	const spawn = (parent: Running, [args = 0n, size = 0n, context = 0n, steps = 0n]: readonly bigint[]): bigint => {
		const { memory: from } = parent;
		const raw = from.read(args, Number(size));
		const view = viewOf(raw);
		const [flags, setTid, setTidSize] = [0, 64, 72].map((at) => view.getBigUint64(at, true));
		const tid = setTidSize === 0n ? nextTid++ : viewOf(from.read(setTid ?? 0n, 4)).getInt32(0, true);
		if (running.some((task) => task.tid === tid)) return -17n;
		const thread = ((flags ?? 0n) & CLONE_THREAD) !== 0n;
		const memory = thread ? from : (from.fork?.() ?? from);
		const task = { pid: thread ? parent.pid : tid, tid, step: steps, context, memory };
		for (const model of models) {
			const error = model.refused?.(task, raw, parent);
			if (error !== undefined) return error;
		}
		for (const model of models) model.spawned?.(task, raw, memory, parent);
		running.push(task);
		return BigInt(tid);
	};

	/** What the models leave over: the report socket, ids and futexes. */
	const own = (
		number: number,
		[a = 0n, b = 0n, c = 0n, , e = 0n, f = 0n]: readonly bigint[],
		task: Running,
	): bigint => {
		const { memory } = task;
		if (number === GETTID) return BigInt(task.tid);
		// a wake: whoever waits looks again anyway. FUTEX_WAKE_OP stores first
		if (number === FUTEX) {
			const store = f >> 12n;
			if (b === FUTEX_WAKE_OP)
				memory.write(e, Uint8Array.of(Number(store & 0xffn), Number((store >> 8n) & 0xfn), 0, 0));
			return 0n;
		}
		if (number === FCNTL && reportFds.has(a) && b === F_DUPFD_CLOEXEC) {
			reportFds.add(c);
			return c;
		}
		if (number === WRITE && reportFds.has(a) && c === BigInt(REPORT)) {
			tell(reportOf(memory.read(b, REPORT)));
			return c;
		}
		if (number === READ && reportFds.has(a)) {
			memory.write(b, new Uint8Array(Number(c)));
			return c;
		}
		return -ENOSYS;
	};

	const end = (task: Running, status: number, group: boolean): void => {
		exited.push({ tid: task.tid, status, group });
		running = running.filter((other) => (group ? other.pid !== task.pid : other !== task));
	};

	/** One step; false when the task waits or is gone. */
	const advance = (task: Running): boolean => {
		const { memory } = task;
		const step = viewOf(memory.read(task.step, STEP));
		const number = step.getUint16(0, true);
		const indirect = step.getUint8(2);
		const expect = step.getUint8(3);
		const id = step.getUint32(4, true);
		if (number === END) {
			end(task, 0, false);
			return false;
		}
		const args = Array.from({ length: 6 }, (_, i) => {
			const value = step.getBigUint64(8 + 8 * i, true);
			return ((indirect >> i) & 1) === 1 ? word(memory, value) : value;
		});
		const want = step.getBigUint64(56, true);
		const store = step.getBigUint64(64, true);
		const [first = 0n, second = 0n] = args;
		if (number === AWAIT) {
			if (viewOf(memory.read(first, 4)).getUint32(0, true) !== Number(BigInt.asUintN(32, second))) return false;
		}
		if (number === LEAVE) {
			calls.push({ tid: task.tid, id, number, args, result: 0n });
			left.push({ tid: task.tid, frame: first });
			running = running.filter((other) => other !== task);
			return false;
		}
		if (number === EXIT || number === EXIT_GROUP) {
			calls.push({ tid: task.tid, id, number, args, result: 0n });
			end(task, Number(first & 0xffn), number === EXIT_GROUP);
			return false;
		}
		let result: bigint;
		do {
			if (number === AWAIT || number === CPUID) result = 0n;
			else if (number === SPAWN || number === CLONE) result = spawn(task, args);
			else result = answer(models, number, args, memory, task, { id, expect, want }) ?? own(number, args, task);
			calls.push({ tid: task.tid, id, number, args, result });
		} while (expect === REPEAT && !failed(result));
		if (store !== 0n) memory.write(store, bytesOf(result));
		if (!satisfied(expect, result, want)) {
			tell({ task: word(memory, task.context + 8n), id: BigInt(id), result });
			end(task, FAILED, true);
			return false;
		}
		task.step += BigInt(STEP);
		return true;
	};

	for (let moved = true; moved; ) {
		moved = false;
		for (const task of [...running]) while (running.includes(task) && advance(task)) moved = true;
	}
	return { calls, reports, left, exited, waiting: running.map(({ tid }) => tid) };
}

function answer(
	models: readonly Model[],
	number: number,
	args: readonly bigint[],
	memory: ModelMemory,
	{ pid, tid }: Running,
	step: ModelStep,
): bigint | undefined {
	for (const model of models) {
		const result = model.call(number, args, memory, { pid, tid }, step);
		if (result !== undefined) return result;
	}
	return undefined;
}

const failed = (result: bigint): boolean => BigInt.asUintN(64, result) > BigInt.asUintN(64, -4096n);

function satisfied(expect: number, result: bigint, want: bigint): boolean {
	const bits = BigInt.asUintN(64, result);
	if (expect === SUCCESS) return !failed(result);
	if (expect === EXACTLY) return bits === want;
	if (expect === SUCCESS_OR) return !failed(result) || bits === want;
	if (expect === ANYTHING || expect === REPEAT) return true;
	throw new Error(`expectation ${expect}`);
}

const reportOf = (bytes: Uint8Array): Report => {
	const view = viewOf(bytes);
	const [task = 0n, id = 0n, result = 0n] = [0, 8, 16].map((at) => view.getBigUint64(at, true));
	return { task, id, result: BigInt.asIntN(64, result) };
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const bytesOf = (value: bigint): Uint8Array => {
	const bytes = new Uint8Array(8);
	viewOf(bytes).setBigUint64(0, BigInt.asUintN(64, value), true);
	return bytes;
};

/**
 * A kernel that says what each step wants to hear, but for the report socket, ids and futexes, which are real. `until it
 * fails` is once.
 */
export const agreeable: Model = {
	call: (number, [a = 0n], _memory, _task, { expect, want }) => {
		if (number === GETTID || number === FUTEX || number === NO_CALL) return undefined;
		if (number === FCNTL && a === REPORT_FD) return undefined;
		if ((number === READ || number === WRITE) && a >= REPORT_FDS) return undefined;
		if (expect === REPEAT) return -ESRCH;
		return expect === EXACTLY ? BigInt.asIntN(64, want) : 0n;
	},
};

/** Memory of a few ranges, all zeros: the hole alone, for tests of the plan's own mechanics. */
export function flatMemory(ranges: readonly { readonly start: bigint; readonly end: bigint }[]): ModelMemory {
	const areas = ranges.map(({ start, end }) => ({ start, end, bytes: new Uint8Array(Number(end - start)) }));
	const find = (at: bigint, length: number): Uint8Array => {
		const area = areas.find(({ start, end }) => start <= at && at + BigInt(length) <= end);
		if (area === undefined) throw new Error(`no memory at 0x${at.toString(16)}`);
		return area.bytes.subarray(Number(at - area.start), Number(at - area.start) + length);
	};
	return {
		read: (at, length) => find(at, length).slice(),
		write: (at, bytes) => find(at, bytes.length).set(bytes),
	};
}
