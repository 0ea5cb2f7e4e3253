import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { delimited, framed, imageBytes, number, word } from "../witness/wire.ts";

/**
 * Builds the images of a donor field by field, as the independent witness of their readers: nothing here comes from src/. The
 * numbers are CRIU 4.2's (criu/include/magic.h and images/*.proto).
 */
export interface BuiltDonor {
	readonly pid: number;
	/** Default: the pid. */
	readonly pgid?: number;
	readonly sid?: number;
	readonly comm: string;
	/** Leader first. */
	readonly threads: readonly BuiltDonorThread[];
	readonly vmas: readonly BuiltVma[];
	/** The eleven addresses of mm_entry in their order, start_code to env_end. */
	readonly bounds: readonly bigint[];
	readonly auxv?: readonly bigint[];
	/** Address of a ring of asynchronous I/O. */
	readonly aio?: bigint;
	/** File id of the executable. */
	readonly exe: number;
	readonly files: readonly BuiltFileEntry[];
	readonly descriptors?: readonly { readonly fd: number; readonly id: number; readonly type: number }[];
	/** By signal. */
	readonly actions?: Readonly<Record<number, BuiltAction>>;
	readonly posixTimers?: readonly BuiltPosixTimer[];
	/** Seconds left of ITIMER_REAL. */
	readonly alarm?: number;
	readonly pages?: readonly (readonly [bigint, Buffer])[];
	/** siginfo records of the process-wide queue. */
	readonly pending?: readonly Buffer[];
	readonly memfds?: readonly BuiltMemfd[];
	/** Soft, of every resource; default 1024. */
	readonly limit?: bigint;
	readonly oomScoreAdjust?: number;
	readonly subreaper?: boolean;
	/** PR_SET_THP_DISABLE. */
	readonly hugePagesDisabled?: boolean;
	/** 1 alive, 2 dead, 3 stopped. */
	readonly state?: number;
	/** Where the link of an incremental dump points. */
	readonly parent?: string;
	/** Any other file, by name; wins over the built ones. */
	readonly extra?: Readonly<Record<string, Buffer>>;
	/** Other processes of the tree, whose images are in `extra`. */
	readonly others?: readonly { readonly pid: number; readonly ppid: number; readonly threads: readonly number[] }[];
}

export interface BuiltDonorThread {
	readonly tid: number;
	readonly name?: string;
	/** Field number of user_x86_regs_entry → value; missing ones are 0. */
	readonly registers?: Readonly<Record<number, bigint>>;
	readonly clearTid?: bigint;
	readonly robustList?: bigint;
	readonly rseq?: bigint;
	readonly rseqCs?: bigint;
	readonly alternateStack?: { readonly base: bigint; readonly size: bigint };
	readonly blocked?: bigint;
	readonly nice?: number;
	/** Default x86-64. */
	readonly machine?: number;
	/** uid, gid and capability words (low, high) of the permitted and effective sets, groups. */
	readonly uid?: number;
	readonly gid?: number;
	readonly capabilities?: readonly [number, number];
	readonly groups?: readonly number[];
	/** xsave: xstate_bv and PKRU's two words; `null`: no xsave part. */
	readonly pkru?: readonly number[];
	readonly xstateBv?: bigint;
	/** Control-flow enforcement: its control word. */
	readonly cet?: bigint;
}

export interface BuiltVma {
	readonly start: bigint;
	readonly end: bigint;
	readonly prot: number;
	readonly flags: number;
	readonly status: number;
	readonly shmid?: bigint | number;
	readonly pgoff?: bigint;
	readonly madv?: bigint;
	readonly fdflags?: number;
}

export interface BuiltFileEntry {
	readonly id: number;
	/** 1 regular, 2 pipe, 8 eventfd… default regular. */
	readonly type?: number;
	readonly name?: string;
	readonly flags?: number;
	readonly position?: number;
	readonly size?: number;
	readonly mode?: number;
	/** Hex. */
	readonly buildId?: string;
	/** For other types: the entry after type and id. */
	readonly body?: readonly number[];
}

export interface BuiltAction {
	readonly handler: bigint;
	readonly restorer?: bigint;
	readonly flags?: bigint;
	readonly mask?: bigint;
}

export interface BuiltPosixTimer {
	readonly id: number;
	/** As the image has it: unsigned. */
	readonly clock?: number;
	readonly value: bigint;
	readonly thread?: number;
	readonly seconds?: number;
}

export interface BuiltMemfd {
	readonly inode: number;
	readonly shmid: number;
	readonly name: string;
	readonly size: number;
	/** Default F_SEAL_SEAL, root's, 0100777. */
	readonly seals?: number;
	readonly owner?: readonly [uid: number, gid: number];
	readonly mode?: number;
	/** MFD_HUGETLB with its size. */
	readonly huge?: number;
	/** Offset → page. */
	readonly pages?: readonly (readonly [bigint, Buffer])[];
}

const MAGIC = {
	core: 0x55053847,
	pstree: 0x50273030,
	ids: 0x54432030,
	mm: 0x57492820,
	fs: 0x51403912,
	pagemap: 0x56084025,
	fdinfo: 0x56213732,
	files: 0x56303138,
	memfd: 0x48453499,
	timens: 0x43114433,
};

type Bytes = readonly number[];

const message = (field: number, ...parts: readonly Bytes[]): Bytes => delimited(field, parts.flat());
const list = (field: number, values: readonly (bigint | number)[]): Bytes =>
	values.flatMap((value) => number(field, value));
/** An image of a kind whose name and message the test knows. */
export const image = (magic: number, ...records: readonly Bytes[]): Buffer => imageBytes(magic, ...records.map(framed));
const zeros = (from: number, to: number): Bytes => {
	const fields = Array.from({ length: to - from + 1 }, (_, i) => from + i);
	return fields.flatMap((field) => number(field, 0));
};

/** The images of a donor by file name. */
export function buildDonor(donor: BuiltDonor): Map<string, Buffer> {
	const { pid, pgid = pid, sid = pid, threads, others = [] } = donor;
	const tree = [
		{ pid, ppid: 0, pgid, sid, threads: threads.map(({ tid }) => tid) },
		...others.map((other) => ({ ...other, pgid, sid })),
	];
	const images = new Map<string, Buffer>([
		["inventory.img", inventory()],
		[
			"pstree.img",
			image(
				MAGIC.pstree,
				...tree.map((it) => [
					...[...number(1, it.pid), ...number(2, it.ppid), ...number(3, it.pgid), ...number(4, it.sid)],
					...list(5, it.threads),
				]),
			),
		],
		[`ids-${pid}.img`, image(MAGIC.ids, ids(2))],
		[`fs-${pid}.img`, image(MAGIC.fs, [...number(1, 1), ...number(2, 1), ...number(3, 0o22)])],
		[`mm-${pid}.img`, image(MAGIC.mm, mm(donor))],
		["files.img", image(MAGIC.files, ...donor.files.map(fileEntry))],
		["timens-0.img", image(MAGIC.timens, [...clock(1), ...clock(2)])],
	]);
	for (const [i, thread] of threads.entries())
		images.set(`core-${thread.tid}.img`, image(MAGIC.core, core(thread, i === 0 ? donor : undefined)));
	if (donor.descriptors !== undefined)
		images.set(
			"fdinfo-2.img",
			image(
				MAGIC.fdinfo,
				...donor.descriptors.map(({ fd, id, type }) => [
					...[...number(1, id), ...number(2, 0), ...number(3, type), ...number(4, fd)],
				]),
			),
		);
	addPages(images, `pagemap-${pid}.img`, 1, donor.pages ?? []);
	const memfds = donor.memfds ?? [];
	if (memfds.length > 0) images.set("memfd.img", image(MAGIC.memfd, ...memfds.map(memfd)));
	for (const { shmid, pages = [] } of memfds) addPages(images, `pagemap-shmem-${shmid}.img`, 100 + shmid, pages);
	for (const [name, bytes] of Object.entries(donor.extra ?? {})) images.set(name, bytes);
	return images;
}

/** Writes the images into a new directory. */
export function writeDonor(directory: string, donor: BuiltDonor): string {
	mkdirSync(directory);
	for (const [name, bytes] of buildDonor(donor)) writeFileSync(join(directory, name), bytes);
	if (donor.parent !== undefined) symlinkSync(donor.parent, join(directory, "parent"));
	return directory;
}

/** A pagemap with its pages file, as CRIU 4.2 writes them. */
export function addPages(
	images: Map<string, Buffer>,
	pagemap: string,
	pagesId: number,
	pages: readonly (readonly [bigint, Buffer])[],
): void {
	const entries = pages.map(([at]) => [...number(1, at), ...number(2, 0), ...number(4, 4), ...number(5, 1)]);
	images.set(pagemap, image(MAGIC.pagemap, number(1, pagesId), ...entries));
	images.set(`pages-${pagesId}.img`, Buffer.concat(pages.map(([, page]) => page)));
}

const inventory = (): Buffer => {
	const record = [...number(1, 2), ...number(2, 1), ...message(3, ids(1)), ...number(4, 1), ...number(5, 1)];
	return Buffer.from([...word(0x58313116), ...framed(record)]);
};

const ids = (own: number): Bytes => [...list(1, [own]), ...list(2, [own]), ...list(3, [own]), ...list(4, [own])];

const clock = (field: number): Bytes => message(field, number(1, 1000), number(2, 5));

function mm(donor: BuiltDonor): Bytes {
	return [
		...donor.bounds.flatMap((value, i) => number(i + 1, value)),
		...number(12, donor.exe),
		...list(13, donor.auxv ?? []),
		...donor.vmas.flatMap((vma) => message(14, vmaEntry(vma))),
		...number(15, 1),
		...(donor.hugePagesDisabled === undefined ? [] : number(17, donor.hugePagesDisabled ? 1 : 0)),
		...(donor.aio === undefined ? [] : message(16, number(1, donor.aio), number(2, 128), number(3, 4096))),
	];
}

export const vmaEntry = ({ start, end, pgoff = 0n, shmid = 0, ...vma }: BuiltVma): Bytes => [
	...[...number(1, start), ...number(2, end), ...number(3, pgoff), ...number(4, shmid)],
	...[...number(5, vma.prot), ...number(6, vma.flags), ...number(7, vma.status), ...number(8, 1)],
	...(vma.madv === undefined ? [] : number(9, vma.madv)),
	...(vma.fdflags === undefined ? [] : number(10, vma.fdflags)),
];

/** Nobody is told of input: `fown_entry`. */
const NOBODY = zeros(1, 5);

function fileEntry({ id, type = 1, body, ...file }: BuiltFileEntry): Bytes {
	if (body !== undefined) return [...number(1, type), ...number(2, id), ...body];
	const buildId = Buffer.from(file.buildId ?? "", "hex");
	const words = Array.from({ length: buildId.length / 4 }, (_, i) => buildId.readUInt32LE(4 * i));
	const reg = [
		...[...number(1, id), ...number(2, file.flags ?? 0), ...number(3, file.position ?? 0), ...message(5, NOBODY)],
		...delimited(6, file.name ?? "/"),
		...number(7, 1),
		...(file.size === undefined ? [] : number(8, file.size)),
		...(file.mode === undefined ? [] : number(10, file.mode)),
		...list(11, words),
	];
	return [...number(1, type), ...number(2, id), ...delimited(3, reg)];
}

/** The entry of an open memfd, to be the `body` of a file of type 18. */
export const memfdFile = (id: number, inode: number, flags = 0o100002, position = 0): Bytes =>
	message(20, number(1, id), number(2, flags), number(3, position), message(4, NOBODY), number(5, inode));

/** The entry of a pipe's end, to be the `body` of a file of type 2. */
export const pipeFile = (id: number, pipe: number, flags: number): Bytes =>
	message(18, number(1, id), number(2, pipe), number(3, flags), message(4, NOBODY));

const memfd = ({ inode, shmid, name, size, seals = 1, owner: [uid, gid] = [0, 0], ...more }: BuiltMemfd): Bytes => [
	...[...delimited(1, name), ...number(2, uid), ...number(3, gid), ...number(4, size), ...number(5, shmid)],
	...[...number(6, seals), ...number(7, inode), ...(more.huge === undefined ? [] : number(8, more.huge))],
	...number(9, more.mode ?? 0o100777),
];

/** The signals that have an action: all but SIGKILL and SIGSTOP. */
const ACTIONS = Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => signal !== 9 && signal !== 19);

function core(thread: BuiltDonorThread, leader: BuiltDonor | undefined): Bytes {
	return [
		...number(1, thread.machine ?? 1),
		...message(2, number(1, thread.clearTid ?? 0), message(2, registers(thread)), message(3, fpregs(thread))),
		...(leader === undefined ? [] : message(3, taskCore(leader, thread))),
		...message(5, threadCore(thread, leader === undefined)),
	];
}

const registers = ({ registers: values = {} }: BuiltDonorThread): Bytes =>
	Array.from({ length: 27 }, (_, i) => number(i + 1, values[i + 1] ?? 0n)).flat();

function fpregs({ pkru = [0x55555554, 0], xstateBv = 0x202n, cet }: BuiltDonorThread): Bytes {
	return [
		...[...number(1, 0x37f), ...zeros(2, 6), ...number(7, 0x1f80), ...number(8, 0x2ffff)],
		...[...list(9, new Array<number>(32).fill(0)), ...list(10, new Array<number>(64).fill(0))],
		...message(
			13,
			number(1, xstateBv),
			list(2, new Array<number>(64).fill(0)),
			list(8, pkru),
			cet === undefined ? [] : message(9, number(1, cet), number(2, 0x7000)),
		),
	];
}

function taskCore(donor: BuiltDonor, leader: BuiltDonorThread): Bytes {
	const timer = (field: number, seconds = 0): Bytes =>
		message(field, number(1, 0), number(2, 0), number(3, seconds), number(4, 0));
	const posix = (donor.posixTimers ?? []).flatMap(({ id, value, thread, seconds = 0, clock = 0 }) =>
		message(
			4,
			...[number(1, id), number(2, clock), number(3, 10), number(4, thread === undefined ? 0 : 4), number(5, value)],
			...[number(6, 0), number(7, 0), number(8, 0), number(9, seconds), number(10, 0)],
			thread === undefined ? [] : number(11, thread),
		),
	);
	const limits = Array.from({ length: 16 }, () =>
		message(1, number(1, donor.limit ?? 1024), number(2, 2n ** 64n - 1n)),
	);
	return [
		...[...number(1, donor.state ?? 1), ...number(2, 0), ...number(3, 0), ...number(4, 0x400000)],
		...[...number(5, leader.blocked ?? 0n), ...delimited(6, donor.comm)],
		...message(7, timer(1, donor.alarm), timer(2), timer(3), posix),
		...message(8, ...limits),
		...message(10, ...(donor.pending ?? []).map((siginfo) => message(1, delimited(1, [...siginfo])))),
		...(donor.oomScoreAdjust === undefined ? [] : number(14, BigInt.asUintN(64, BigInt(donor.oomScoreAdjust)))),
		...ACTIONS.flatMap((signal) => message(15, action(donor.actions?.[signal] ?? { handler: 0n }))),
		...(donor.subreaper === undefined ? [] : number(18, donor.subreaper ? 1 : 0)),
	];
}

const action = ({ handler, flags = 0n, restorer = 0n, mask = 0n }: BuiltAction): Bytes => [
	...[...number(1, handler), ...number(2, flags), ...number(3, restorer), ...number(4, mask)],
];

function threadCore(thread: BuiltDonorThread, follower: boolean): Bytes {
	const { robustList, rseq, rseqCs, alternateStack: stack, nice = 0 } = thread;
	const { uid = 0, gid = 0, capabilities = [0xffffffff, 0x1ff], groups = [] } = thread;
	const creds = [
		...[1, 3, 5, 7].flatMap((field) => [...number(field, uid), ...number(field + 1, gid)]),
		...[...list(9, [0, 0]), ...list(10, capabilities), ...list(11, capabilities), ...list(12, [0xffffffff, 0x1ff])],
		...[...number(13, 0), ...list(14, groups)],
	];
	return [
		...[...number(1, robustList ?? 0n), ...number(2, robustList === undefined ? 0 : 24)],
		...[...number(3, nice < 0 ? -2 * nice - 1 : 2 * nice), ...number(4, 0), ...number(5, 0)],
		...(follower ? number(6, thread.blocked ?? 0n) : []),
		...message(7, number(1, stack?.base ?? 0n), number(2, stack?.size ?? 0n), number(3, stack === undefined ? 2 : 0)),
		...[...number(8, 0), ...message(9), ...message(10, creds)],
		...(thread.name === undefined ? [] : delimited(13, thread.name)),
		...(rseq === undefined
			? []
			: message(
					15,
					...[number(1, rseq), number(2, 32), number(3, 0x53053053)],
					rseqCs === undefined ? [] : number(4, rseqCs),
				)),
		...number(16, 1),
	];
}
