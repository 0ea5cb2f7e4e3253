import type { Arg, Datum, Place } from "../../../src/program/args.ts";
import type { Step, StepList } from "../../../src/program/program.ts";

/**
 * A kernel that knows address spaces and nothing else. It carries lists of steps out as Linux 6 would, with Linux's own
 * numbers written out here, page by page: what a plan comes to is seen in its mappings and bytes. A step that does not
 * return what it expects throws.
 */
export interface ModelMemory {
	/** Ascending, neighbours of the same kind made one; without the hole. */
	areas(): readonly ModelArea[];
	/** The bytes of a page, as the process would read them if it could. */
	page(at: bigint): Buffer;
	/** What is behind the descriptors that are still open. */
	readonly open: readonly string[];
	/** The same by number. */
	readonly table: ReadonlyMap<number, ModelOpen>;
	/** The file or object that a page shows. */
	behind(at: bigint): ModelInode | undefined;
	/** Whether a page faults because a guard was put there. */
	isGuard(at: bigint): boolean;
	run(lists: readonly StepList[], name: string): void;
	/** What PR_SET_MM_MAP and PR_SET_NAME were given. */
	readonly bounds: { map?: Buffer; auxv?: Buffer; exe?: string; name?: string };
}

export interface ModelArea {
	readonly start: bigint;
	readonly end: bigint;
	readonly prot: number;
	/** `private`, `shared`, `droppable`. */
	readonly type: string;
	/** `anonymous`, a path, `memfd:NAME`, `/dev/zero`, `[vdso]`, `[vvar]`. */
	readonly what: string;
	readonly offset: bigint;
	/** growsdown, locked, noreserve, hugetlb:N; advice as numbers. */
	readonly marks: readonly string[];
}

/** A descriptor; those with one description share its offset and flags. */
export interface ModelOpen {
	readonly description: ModelDescription;
	readonly closeOnExec: boolean;
}

interface ModelDescription {
	readonly inode: Inode;
	/** O_ flags. */
	flags: number;
	position: bigint;
	/** /dev/zero, which never ends. */
	readonly zeros: boolean;
}

export type ModelInode = Readonly<Inode>;

export interface ModelHost {
	readonly hole: { readonly start: bigint; readonly end: bigint };
	readonly pid: number;
	readonly files: ReadonlyMap<string, Buffer>;
	readonly vdso?: { readonly image: Uint8Array; readonly vvarLength: bigint };
	/** Files that are open from the beginning, by number. */
	readonly opened?: ReadonlyMap<number, string>;
	/** Those of them that are open for writing too. */
	readonly written?: ReadonlySet<number>;
	/** Madvise numbers that this kernel does not know. */
	readonly unknownAdvice?: readonly number[];
}

/** The bytes behind a file or object, by page. */
interface Inode {
	readonly name: string;
	size: bigint;
	readonly pages: Map<bigint, Buffer>;
	readonly file: boolean;
	/** F_SEAL_ bits; F_SEAL_SEAL where it never could be sealed. */
	seals: number;
	mode: number;
	owner: readonly [uid: number, gid: number];
}

interface Area {
	start: bigint;
	end: bigint;
	prot: number;
	type: "private" | "shared" | "droppable";
	what: string;
	inode?: Inode;
	offset: bigint;
	marks: Set<string>;
	/** VM_MAYWRITE of what is shared: whether mprotect(2) may ever make it writable. */
	readonly mayWrite: boolean;
	/** Private pages that were written. */
	readonly own: Map<bigint, Buffer>;
}

const PAGE = 4096n;
const [CLOEXEC, NOCTTY, LARGEFILE, PATH_ONLY] = [0o2000000, 0o400, 0o100000, 0o10000000];
/** O_APPEND, O_NONBLOCK, O_ASYNC, O_DIRECT, O_NOATIME. */
const SETTABLE = 0o2000 | 0o4000 | 0o20000 | 0o40000 | 0o1000000;
const [F_SEAL_SEAL, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC] = [1, 8, 0x10, 0x20];
const TASK_END = 0x7fff_ffff_f000n;
const E = {
	NOENT: -2n,
	BADF: -9n,
	NOMEM: -12n,
	FAULT: -14n,
	EXIST: -17n,
	INVAL: -22n,
	NOSYS: -38n,
	SRCH: -3n,
	BUSY: -16n,
	PERM: -1n,
	ACCES: -13n,
};

/** Two mappings that the process had before: an executable and a stack. The vdso is mapped too. */
const INITIAL = [
	{ start: 0x40_0000n, end: 0x40_2000n, what: "/agent" },
	{ start: 0x7ffd_0000_0000n, end: 0x7ffd_0002_1000n, what: "anonymous" },
];

export function modelMemory(host: ModelHost): ModelMemory {
	const { hole } = host;
	let areas: Area[] = [];
	const guards = new Set<bigint>();
	const inodes = new Map<string, Inode>();
	const descriptors = new Map<bigint, { description: ModelDescription; closeOnExec: boolean }>();
	const fileOf = (fd: bigint | undefined): ModelDescription | undefined =>
		descriptors.get(BigInt.asUintN(64, fd ?? 0n))?.description;
	const data = new Map<Datum, bigint>();
	const memory = new Map<Datum, Buffer>();
	let nextDatum = hole.start + 0x4_0000n;
	let nextTid = 90000n;
	const bounds: ModelMemory["bounds"] = {};
	let lists: readonly StepList[] = [];

	const sorted = (): Area[] => areas.sort((a, b) => (a.start < b.start ? -1 : 1));
	const areaAt = (at: bigint): Area | undefined => areas.find(({ start, end }) => start <= at && at < end);
	const busy = (start: bigint, end: bigint): boolean =>
		(start < hole.end && hole.start < end) || areas.some((area) => area.start < end && start < area.end);

	/** Makes `at` a boundary. */
	const split = (at: bigint): void => {
		const area = areaAt(at);
		if (area === undefined || area.start === at) return;
		const upper: Area = {
			...area,
			start: at,
			offset: area.offset + (at - area.start),
			marks: new Set(area.marks),
			own: new Map(),
		};
		for (const [page, bytes] of area.own)
			if (page >= at) {
				upper.own.set(page, bytes);
				area.own.delete(page);
			}
		area.end = at;
		areas.push(upper);
	};
	const unmap = (start: bigint, end: bigint): void => {
		split(start);
		split(end);
		areas = areas.filter((area) => area.end <= start || area.start >= end);
		for (const page of guards) if (page >= start && page < end) guards.delete(page);
	};
	/** The areas of a range, cut to it; nothing where a page of it is not mapped. */
	const cut = (start: bigint, end: bigint): Area[] | undefined => {
		split(start);
		split(end);
		const found = sorted().filter((area) => area.start >= start && area.end <= end);
		return found.reduce((sum, area) => sum + (area.end - area.start), 0n) === end - start ? found : undefined;
	};

	const inodePage = (inode: Inode, index: bigint): Buffer => {
		const known = inode.pages.get(index) ?? Buffer.alloc(Number(PAGE));
		inode.pages.set(index, known);
		return known;
	};
	const pageOf = (area: Area, page: bigint): Buffer => {
		const behind =
			area.inode === undefined ? undefined : inodePage(area.inode, (area.offset + page - area.start) / PAGE);
		if (area.type === "shared") return behind ?? Buffer.alloc(Number(PAGE));
		return area.own.get(page) ?? behind ?? Buffer.alloc(Number(PAGE));
	};
	const pageToWrite = (area: Area, page: bigint): Buffer => {
		if (area.type === "shared") return pageOf(area, page);
		const own = area.own.get(page) ?? Buffer.from(pageOf(area, page));
		area.own.set(page, own);
		return own;
	};

	const datumAt = (datum: Datum): bigint => {
		const known = data.get(datum);
		if (known !== undefined) return known;
		const at = (nextDatum + BigInt(datum.align) - 1n) & ~(BigInt(datum.align) - 1n);
		nextDatum = at + BigInt(datum.size);
		if (nextDatum > hole.end) throw new Error("the hole is too small");
		data.set(datum, at);
		const bytes = Buffer.concat([datum.bytes, Buffer.alloc(datum.size - datum.bytes.length)]);
		memory.set(datum, bytes);
		for (const { at: offset, to } of datum.pointers) bytes.writeBigUInt64LE(addressOf(to), offset);
		return at;
	};
	const addressOf = ({ datum, offset = 0 }: Place): bigint => datumAt(datum) + BigInt(offset);
	/** The rest of the datum at an address of the hole. */
	const holeBytes = (at: bigint): Buffer => {
		for (const [datum, start] of data)
			if (at >= start && at < start + BigInt(datum.size))
				return memory.get(datum)?.subarray(Number(at - start)) ?? Buffer.of();
		throw new Error(`nothing of the plan lies at 0x${at.toString(16)}`);
	};
	const textAt = (at: bigint): string => {
		const bytes = holeBytes(at);
		return bytes.toString("utf8", 0, bytes.indexOf(0));
	};
	const iovecs = (at: bigint, count: bigint): { base: bigint; length: bigint }[] => {
		if (count > 1024n) throw new Error("more than IOV_MAX pieces");
		const bytes = holeBytes(at);
		return Array.from({ length: Number(count) }, (_, i) => ({
			base: bytes.readBigUInt64LE(i * 16),
			length: bytes.readBigUInt64LE(i * 16 + 8),
		}));
	};

	/** copy_to_user: how many bytes of `bytes` went in. */
	const store = (at: bigint, bytes: Buffer): number => {
		let done = 0;
		while (done < bytes.length) {
			const to = at + BigInt(done);
			const area = areaAt(to);
			const page = to & ~(PAGE - 1n);
			const beyond =
				area?.inode !== undefined && area.offset + page - area.start >= ((area.inode.size + PAGE - 1n) / PAGE) * PAGE;
			if (area === undefined || (area.prot & 2) === 0 || guards.has(page) || beyond) break;
			const from = Number(to - page);
			done += bytes.copy(pageToWrite(area, page), from, done);
		}
		return done;
	};
	const readInto = (fd: bigint, offset: bigint, pieces: readonly { base: bigint; length: bigint }[]): bigint => {
		const file = fileOf(fd);
		if (file === undefined) return E.BADF;
		let done = 0n;
		for (const { base, length } of pieces) {
			const left = file.zeros ? length : file.inode.size - offset - done;
			const count = left < length ? (left < 0n ? 0n : left) : length;
			const bytes = Buffer.alloc(Number(count));
			if (!file.zeros) copyFrom(file.inode, offset + done, bytes);
			const stored = store(base, bytes);
			done += BigInt(stored);
			if (BigInt(stored) < length) return done === 0n && count > 0n ? E.FAULT : done;
		}
		return done;
	};
	const copyFrom = (inode: Inode, offset: bigint, into: Buffer): void => {
		for (let done = 0; done < into.length; ) {
			const at = offset + BigInt(done);
			done += inodePage(inode, at / PAGE).copy(into, done, Number(at % PAGE));
		}
	};
	const inodeOf = (path: string): Inode | undefined => {
		const content = host.files.get(path);
		const known = inodes.get(path);
		if (known !== undefined || content === undefined) return known;
		const inode: Inode = { ...object(path, BigInt(content.length)), file: true };
		for (let at = 0; at < content.length; at += Number(PAGE)) {
			const page = Buffer.alloc(Number(PAGE));
			content.copy(page, 0, at);
			inode.pages.set(BigInt(at) / PAGE, page);
		}
		inodes.set(path, inode);
		return inode;
	};
	const give = (description: ModelDescription, closeOnExec: boolean, from = 0n): bigint => {
		let fd = from;
		while (descriptors.has(fd)) fd++;
		descriptors.set(fd, { description, closeOnExec });
		return fd;
	};
	const open = (inode: Inode, flags: number, zeros = false): bigint =>
		give({ inode, flags: flags & ~(CLOEXEC | NOCTTY), position: 0n, zeros }, (flags & CLOEXEC) !== 0);
	const object = (name: string, size: bigint): Inode => ({
		...{ name, size, pages: new Map(), file: false, seals: F_SEAL_SEAL, mode: 0o777, owner: [0, 0] },
	});
	const addSeals = (file: ModelDescription, seals: number): bigint => {
		const { inode } = file;
		if ((file.flags & 3) === 0 || (inode.seals & F_SEAL_SEAL) !== 0) return E.PERM;
		const writers = areas.some((area) => area.inode === inode && area.type === "shared" && area.mayWrite);
		if ((seals & F_SEAL_WRITE & ~inode.seals) !== 0 && writers) return E.BUSY;
		inode.seals |= seals;
		return 0n;
	};
	const fcntl = (fd: bigint, command: bigint, value: bigint): bigint => {
		const file = fileOf(fd);
		if (file === undefined) return E.BADF;
		if (command === 1030n) return give(file, true, value);
		if (command === 1033n) return addSeals(file, Number(value));
		if (command !== 4n) return E.INVAL;
		file.flags = (file.flags & ~SETTABLE) | (Number(value) & SETTABLE);
		return 0n;
	};

	const mmap = ([at, length, prot, flags, fd, offset]: readonly bigint[]): bigint => {
		if (at === undefined || length === undefined || prot === undefined || flags === undefined) return E.INVAL;
		const bits = Number(flags);
		if (at % PAGE !== 0n || length <= 0n || length % PAGE !== 0n || (offset ?? 0n) % PAGE !== 0n) return E.INVAL;
		const replaces = (bits & 0x10_0010) === 0x10;
		if ((bits & 0x10_0000) === 0 && !replaces) throw new Error("mmap at a place of the kernel's choice");
		if (at < 0x1_0000n || at + length > TASK_END) return E.NOMEM;
		if (!replaces && busy(at, at + length)) return E.EXIST;
		const type = ({ 1: "shared", 2: "private", 8: "droppable" } as const)[bits & 0xf];
		if (type === undefined) return E.INVAL;
		const anonymous = (bits & 0x20) !== 0;
		const file = fileOf(fd);
		const writing = (prot & 2n) !== 0n;
		if (!anonymous && (file === undefined || file.zeros)) return E.BADF;
		if (!anonymous && (bits & 0x4_0000) !== 0) return E.INVAL;
		const canWrite = anonymous || ((file?.flags ?? 0) & 3) === 2;
		if (type === "shared" && writing && !canWrite) return E.ACCES;
		const sealed = !anonymous && ((file?.inode.seals ?? 0) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0;
		if (type === "shared" && writing && sealed) return E.PERM;
		const inode = anonymous ? (type === "shared" ? object("/dev/zero", length) : undefined) : file?.inode;
		if (replaces) {
			if (cut(at, at + length)?.every((area) => area.type === "private") !== true)
				throw new Error("mmap over something else than private memory");
			unmap(at, at + length);
		}
		const marks = new Set<string>();
		if ((bits & 0x100) !== 0) marks.add("growsdown");
		if ((bits & 0x2000) !== 0) marks.add("locked");
		if ((bits & 0x4000) !== 0 && !(inode?.file === true && type === "shared")) marks.add("noreserve");
		if ((bits & 0x4_0000) !== 0) marks.add(`hugetlb:${(bits >>> 26) & 0x3f}`);
		areas.push({
			...{ start: at, end: at + length, prot: Number(prot), type, what: inode?.name ?? "anonymous" },
			mayWrite: type !== "shared" || (canWrite && !sealed),
			...{ offset: inode === undefined ? 0n : (offset ?? 0n), marks, own: new Map() },
			...(inode === undefined ? {} : { inode }),
		});
		return at;
	};
	const mremap = (old: bigint, oldLength: bigint, length: bigint, flags: bigint, to: bigint): bigint => {
		const area = areaAt(old);
		if (area === undefined) return E.FAULT;
		if (oldLength !== 0n || flags !== 3n || area.type !== "shared") throw new Error("mremap of another kind");
		if (old + length > area.end) return E.FAULT;
		if (busy(to, to + length)) throw new Error("mremap over what is there");
		areas.push({
			...area,
			start: to,
			end: to + length,
			offset: area.offset + (old - area.start),
			marks: new Set(area.marks),
			own: new Map(),
		});
		return to;
	};
	const madvise = (at: bigint, length: bigint, advice: number): bigint => {
		if (host.unknownAdvice?.includes(advice)) return E.INVAL;
		const end = at + length;
		if (advice === 25) return areaAt(at)?.what === "anonymous" && at % 0x20_0000n === 0n ? 0n : E.INVAL;
		const parts = cut(at, end);
		if (parts === undefined) return E.NOMEM;
		if (advice === 23) return parts.every(({ prot }) => (prot & 2) !== 0) ? 0n : E.INVAL;
		if (advice === 102) {
			for (let page = at; page < end; page += PAGE) {
				guards.add(page);
				areaAt(page)?.own.delete(page);
			}
			return 0n;
		}
		if (advice === 18 && parts.some(({ inode }) => inode !== undefined)) return E.INVAL;
		if (![1, 2, 10, 12, 14, 15, 16, 18].includes(advice)) throw new Error(`madvise(${advice}) is no lasting advice`);
		for (const part of parts) part.marks.add(`${advice}`);
		return 0n;
	};
	const mapVdso = (at: bigint): bigint => {
		const { image, vvarLength } = host.vdso ?? { image: new Uint8Array(), vvarLength: 0n };
		if (areas.some(({ what }) => what === "[vdso]")) return E.EXIST;
		const length = vvarLength + BigInt(image.length);
		const start = busy(at, at + length) ? 0x7fee_0000_0000n : at;
		const own = new Map<bigint, Buffer>();
		const common = { type: "private", offset: 0n, marks: new Set<string>(), mayWrite: true } as const;
		areas.push({ ...common, start, end: start + vvarLength, prot: 1, what: "[vvar]", own: new Map() });
		areas.push({
			...common,
			start: start + vvarLength,
			end: start + length,
			prot: 5,
			what: "[vdso]",
			own,
			marks: new Set(),
		});
		for (let i = 0; i < image.length; i += Number(PAGE))
			own.set(start + vvarLength + BigInt(i), Buffer.from(image.subarray(i, i + Number(PAGE))));
		return BigInt(image.length);
	};

	const perform = (call: string, args: readonly bigint[]): bigint => {
		const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = args;
		switch (call) {
			case "munmap":
				if (a % PAGE !== 0n || b <= 0n || a + b > TASK_END) return E.INVAL;
				if (a < hole.end && hole.start < a + b) throw new Error("munmap of the hole");
				unmap(a, a + b);
				return 0n;
			case "mmap":
				return mmap(args);
			case "mremap":
				return mremap(a, b, c, d, e);
			case "mprotect": {
				const parts = cut(a, a + b);
				if (parts === undefined) return E.NOMEM;
				if ((c & 2n) !== 0n && parts.some(({ mayWrite }) => !mayWrite)) return E.ACCES;
				for (const part of parts) part.prot = Number(c);
				return 0n;
			}
			case "mlock": {
				const parts = cut(a, a + b);
				for (const part of parts ?? []) part.marks.add("locked");
				return parts === undefined ? E.NOMEM : 0n;
			}
			case "madvise":
				return madvise(a, b, Number(c));
			case "openat": {
				const path = textAt(b);
				if (BigInt.asIntN(32, a) !== -100n) return E.INVAL;
				const own = /^\/proc\/self\/fd\/(\d+)$/.exec(path)?.[1];
				if (own !== undefined) {
					const inode = fileOf(BigInt(own))?.inode;
					return inode === undefined ? E.NOENT : open(inode, Number(c));
				}
				const inode = path === "/dev/zero" ? object(path, 0n) : inodeOf(path);
				return inode === undefined ? E.NOENT : open(inode, Number(c), path === "/dev/zero");
			}
			case "memfd_create": {
				const sealable = (b & 0xan) !== 0n;
				const seals = (sealable ? 0 : F_SEAL_SEAL) | ((b & 8n) === 0n ? 0 : F_SEAL_EXEC);
				const mode = (b & 8n) === 0n ? 0o777 : 0o666;
				const inode = { ...object(`memfd:${textAt(a)}`, 0n), seals, mode };
				return open(inode, 2 | LARGEFILE | ((b & 1n) === 0n ? 0 : CLOEXEC));
			}
			case "ftruncate": {
				const file = fileOf(a);
				if (file === undefined) return E.BADF;
				file.inode.size = b;
				return 0n;
			}
			case "fchmod": {
				const inode = fileOf(a)?.inode;
				if (inode === undefined) return E.BADF;
				if ((inode.seals & F_SEAL_EXEC) !== 0 && ((inode.mode ^ Number(b)) & 0o111) !== 0) return E.PERM;
				inode.mode = Number(b);
				return 0n;
			}
			case "fchown": {
				const inode = fileOf(a)?.inode;
				if (inode === undefined) return E.BADF;
				inode.owner = [Number(b), Number(c)];
				// chown(2) takes these from whoever is not to be trusted
				inode.mode &= ~0o6000;
				return 0n;
			}
			case "fcntl":
				return fcntl(a, b, c);
			case "dup3": {
				const file = fileOf(a);
				if (file === undefined) return E.BADF;
				if (a === b) return E.INVAL;
				descriptors.set(b, { description: file, closeOnExec: c === BigInt(CLOEXEC) });
				return b;
			}
			case "lseek": {
				const file = fileOf(a);
				if (file === undefined || (file.flags & PATH_ONLY) !== 0) return E.BADF;
				file.position = b;
				return b;
			}
			case "close_range":
				for (const number of [...descriptors.keys()]) if (number >= a && number <= b) descriptors.delete(number);
				return 0n;
			case "utimensat":
				return fileOf(a) === undefined || b !== 0n || d !== 0n ? E.BADF : 0n;
			case "close":
				return descriptors.delete(a) ? 0n : E.BADF;
			case "pread64":
				return readInto(a, d, [{ base: b, length: c }]);
			case "read":
				return readInto(a, 0n, [{ base: b, length: c }]);
			case "preadv":
				if (e !== 0n) return E.INVAL;
				return readInto(a, d, iovecs(b, c));
			case "process_vm_writev": {
				const [from] = iovecs(b, c);
				const [to] = iovecs(d, e);
				if (a !== BigInt(host.pid) || from === undefined || to === undefined) return E.SRCH;
				return BigInt(store(to.base, holeBytes(from.base).subarray(0, Number(from.length))));
			}
			case "arch_prctl":
				return a === 0x2003n ? mapVdso(b) : E.INVAL;
			case "prctl": {
				if (a === 15n) bounds.name = textAt(b);
				if (a !== 35n) return a === 15n ? 0n : E.INVAL;
				if (b !== 14n || d !== 104n) return E.INVAL;
				const map = Buffer.from(holeBytes(c).subarray(0, 104));
				const descriptor = map.readUInt32LE(100);
				const exe = fileOf(BigInt(descriptor));
				if (exe === undefined && descriptor !== 0xffff_ffff) return E.BADF;
				bounds.map = map;
				if (exe !== undefined) bounds.exe = exe.inode.name;
				const length = map.readUInt32LE(96);
				if (length > 0) bounds.auxv = Buffer.from(holeBytes(map.readBigUInt64LE(88)).subarray(0, length));
				return 0n;
			}
			case "spawn": {
				const request = holeBytes(a);
				if (b !== 88n || request.readBigUInt64LE(0) !== 0x35_0f00n) throw new Error("spawn of no thread");
				const list = lists[Number(d)];
				if (list === undefined) return E.FAULT;
				const tid = nextTid++;
				runList(list);
				// the kernel clears the word when the thread is gone
				holeBytes(request.readBigUInt64LE(16)).writeUInt32LE(0, 0);
				return tid;
			}
			case "await":
				if (holeBytes(a).readUInt32LE(0) !== Number(b)) throw new Error("await for ever");
				return 0n;
			case "tgkill":
				return a === BigInt(host.pid) ? E.SRCH : E.INVAL;
			default:
				return E.NOSYS;
		}
	};

	const wordOf = (arg: Arg): bigint => {
		if (typeof arg === "bigint") return BigInt.asUintN(64, arg);
		if (Object.hasOwn(arg, "datum")) return addressOf(arg as Place);
		if (Object.hasOwn(arg, "input")) return BigInt((arg as { input: { number: number } }).input.number);
		if (Object.hasOwn(arg, "list"))
			return BigInt(lists.findIndex(({ name }) => name === (arg as { list: string }).list));
		return holeBytes(addressOf((arg as { valueOf: Place }).valueOf)).readBigUInt64LE(0);
	};
	const runList = ({ name, steps }: StepList): void => {
		for (const step of steps) {
			const args = step.args.map(wordOf);
			const result = perform(step.call, args);
			if (step.save !== undefined) holeBytes(addressOf(step.save)).writeBigInt64LE(result, 0);
			if (!satisfied(step, result))
				throw new Error(
					`${name}: ${step.call}(${args.map((arg) => `0x${arg.toString(16)}`).join(", ")}) (${step.why}) returned ${result}`,
				);
		}
	};

	for (const { start, end, what } of INITIAL)
		areas.push({
			...{ start, end, what, prot: 3, type: "private", offset: 0n, mayWrite: true },
			...{ marks: new Set<string>(), own: new Map<bigint, Buffer>() },
		});
	for (const [number, path] of host.opened ?? []) {
		const inode = inodeOf(path);
		// directories show no memory
		if (inode === undefined) continue;
		descriptors.set(BigInt(number), {
			description: { inode, flags: host.written?.has(number) === true ? 2 : 0, position: 0n, zeros: false },
			closeOnExec: true,
		});
	}
	if (host.vdso !== undefined) mapVdso(0x7ffd_1000_0000n);

	return {
		bounds,
		get open() {
			return [...descriptors.values()].map(({ description }) => description.inode.name);
		},
		get table() {
			return new Map([...descriptors].map(([number, it]) => [Number(number), it]));
		},
		behind: (at) => areaAt(at)?.inode,
		isGuard: (at) => guards.has(at),
		page: (at) => {
			const area = areaAt(at);
			if (area === undefined) throw new Error(`nothing at 0x${at.toString(16)}`);
			return Buffer.from(pageOf(area, at));
		},
		areas: () => sorted().reduce<ModelArea[]>(joined, []),
		run: (all, name) => {
			lists = all;
			const list = all.find((candidate) => candidate.name === name);
			if (list === undefined) throw new Error(`no list ${name}`);
			runList(list);
		},
	};
}

/** Neighbours become one where nothing tells them apart, as the kernel does it. */
function joined(done: ModelArea[], { start, end, prot, type, what, offset, marks }: Area): ModelArea[] {
	const area: ModelArea = { start, end, prot, type, what, offset, marks: [...marks].sort() };
	return joinAreas(done, area);
}

export function joinAreas(done: ModelArea[], area: ModelArea): ModelArea[] {
	const last = done.at(-1);
	const same =
		last !== undefined &&
		last.end === area.start &&
		(["prot", "type", "what"] as const).every((key) => last[key] === area[key]) &&
		(area.what === "anonymous" || last.offset + (last.end - last.start) === area.offset) &&
		last.marks.join() === area.marks.join();
	if (same) done[done.length - 1] = { ...last, end: area.end };
	else done.push(area);
	return done;
}

function satisfied({ expect, call }: Step, result: bigint): boolean {
	if (expect === "anything") return true;
	if (expect === "success") return result >= 0n;
	if (expect === "until-error") {
		if (result >= 0n) throw new Error(`${call} for ever`);
		return true;
	}
	return "exactly" in expect
		? BigInt.asUintN(64, result) === BigInt.asUintN(64, expect.exactly)
		: result >= 0n || result === -BigInt(expect.successOr);
}
