import type { ModelMemory } from "./model-kernel.ts";

/*
 * Address spaces of several processes, page by page: what fork copies, what they share, and what mmap(2), mremap(2) and munmap(2)
 * do to either. The rest of memory (protections, advice, the vdso) is another model's.
 */

/** What lies behind shared pages; of files, by name. */
export interface ModelInode {
	readonly name: string;
	readonly pages: Map<bigint, Buffer>;
	/** Of a memfd: F_SEAL_ bits, permissions and owner. */
	seals?: number;
	mode?: number;
	owner?: readonly bigint[];
}

export interface ModelPage {
	/** Absent for private anonymous memory. */
	readonly inode?: ModelInode;
	/** Of the page in it. */
	readonly index: bigint;
	readonly shared: boolean;
	/** It can never be written to: what it was mapped from could not. */
	readonly readOnly?: true;
	/** What was written to it privately. */
	own?: Buffer;
}

export interface ModelSpace extends ModelMemory {
	/** By address, without the hole. */
	readonly pages: ReadonlyMap<bigint, ModelPage>;
	/** The bytes of a page. */
	page(at: bigint): Buffer;
	fork(): ModelSpace;
	/** @param readOnly The file is open for reading. */
	mmap(args: readonly bigint[], inode: ModelInode | undefined, readOnly?: boolean): bigint;
	munmap(at: bigint, length: bigint): bigint;
	mremap(args: readonly bigint[]): bigint;
	madvise(at: bigint, length: bigint, advice: bigint): bigint;
}

const PAGE = 4096n;
const [SHARED, FIXED, ANONYMOUS, NOREPLACE] = [1n, 0x10n, 0x20n, 0x10_0000n];
const DONTNEED = 4n;
const [EFAULT, EEXIST, EINVAL] = [-14n, -17n, -22n];

const bytes = (): Buffer => Buffer.alloc(Number(PAGE));

export function modelSpace(
	hole: { readonly start: bigint; readonly end: bigint },
	all = new Map<bigint, ModelPage>(),
): ModelSpace {
	const inHole = (at: bigint): boolean => at >= hole.start && at < hole.end;
	const pageAt = (at: bigint): ModelPage => {
		const known = all.get(at);
		if (known !== undefined) return known;
		if (!inHole(at)) throw new Error(`no memory at 0x${at.toString(16)}`);
		const fresh: ModelPage = { index: 0n, shared: false };
		all.set(at, fresh);
		return fresh;
	};
	const behind = ({ inode, index }: ModelPage): Buffer => {
		if (inode === undefined) return bytes();
		const known = inode.pages.get(index) ?? bytes();
		inode.pages.set(index, known);
		return known;
	};
	const toRead = (page: ModelPage): Buffer => (page.shared ? behind(page) : (page.own ?? behind(page)));
	const toWrite = (page: ModelPage): Buffer => {
		if (page.shared) return behind(page);
		page.own ??= Buffer.from(behind(page));
		return page.own;
	};
	const each = (
		at: bigint,
		length: number,
		deed: (page: ModelPage, from: number, done: number, count: number) => void,
	) => {
		for (let done = 0; done < length; ) {
			const place = at + BigInt(done);
			const start = place & ~(PAGE - 1n);
			const from = Number(place - start);
			const count = Math.min(length - done, Number(PAGE) - from);
			deed(pageAt(start), from, done, count);
			done += count;
		}
	};
	const put = (at: bigint, length: bigint, page: (i: bigint) => ModelPage): void => {
		for (let i = 0n; i < length / PAGE; i++) all.set(at + i * PAGE, page(i));
	};
	const busy = (at: bigint, length: bigint): boolean => {
		for (let page = at; page < at + length; page += PAGE) if (all.has(page) || inHole(page)) return true;
		return false;
	};
	return {
		get pages() {
			return new Map([...all].filter(([at]) => !inHole(at)));
		},
		page: (at) => Buffer.from(toRead(pageAt(at))),
		read: (at, length) => {
			const into = Buffer.alloc(length);
			each(at, length, (page, from, done, count) => toRead(page).copy(into, done, from, from + count));
			return into;
		},
		write: (at, from) => {
			each(at, from.length, (page, to, done, count) => toWrite(page).set(from.subarray(done, done + count), to));
		},
		fork: () => {
			const copies = [...all].map(([at, page]): [bigint, ModelPage] => {
				const { own } = page;
				return [at, { ...page, ...(own === undefined ? {} : { own: Buffer.from(own) }) }];
			});
			return modelSpace(hole, new Map(copies));
		},
		mmap: ([at = 0n, length = 0n, , flags = 0n, , offset = 0n], inode, readOnly = false) => {
			if (at % PAGE !== 0n || length <= 0n || length % PAGE !== 0n || offset % PAGE !== 0n) return EINVAL;
			const fixed = (flags & (FIXED | NOREPLACE)) === FIXED;
			if (!fixed && (flags & NOREPLACE) === 0n) throw new Error("mmap at a place of the kernel's choice");
			if (!fixed && busy(at, length)) return EEXIST;
			const shared = (flags & SHARED) !== 0n;
			const anonymous = (flags & ANONYMOUS) !== 0n;
			if (!anonymous && inode === undefined) return -9n;
			const shown = anonymous ? (shared ? { name: "/dev/zero", pages: new Map<bigint, Buffer>() } : undefined) : inode;
			const first = anonymous ? 0n : offset / PAGE;
			const never = shared && !anonymous && readOnly ? { readOnly: true as const } : {};
			put(at, length, (i) => ({
				index: first + i,
				shared,
				...(shown === undefined ? {} : { inode: shown }),
				...never,
			}));
			return at;
		},
		munmap: (at, length) => {
			if (at < hole.end && hole.start < at + length) throw new Error("munmap of the hole");
			for (const page of [...all.keys()]) if (page >= at && page < at + length) all.delete(page);
			return 0n;
		},
		madvise: (at, length, advice) => {
			if (advice !== DONTNEED) throw new Error(`madvise(${advice})`);
			for (let i = 0n; i < length; i += PAGE) delete pageAt(at + i).own;
			return 0n;
		},
		mremap: ([old = 0n, oldLength = 0n, length = 0n, flags = 0n, to = 0n]) => {
			if (flags === 0n) {
				const { inode, shared } = pageAt(old);
				if (inode !== undefined || shared || length <= oldLength) throw new Error("mremap of another kind");
				if (busy(old + oldLength, length - oldLength)) return -12n;
				put(old + oldLength, length - oldLength, () => ({ index: 0n, shared: false }));
				return old;
			}
			if (oldLength !== 0n || flags !== 3n) throw new Error("mremap of another kind");
			const from = all.get(old);
			if (from?.shared !== true) return EFAULT;
			if (busy(to, length)) throw new Error("mremap over what is there");
			for (let i = 0n; i < length; i += PAGE) if (all.get(old + i)?.inode !== from.inode) return EFAULT;
			put(to, length, (i) => ({ ...from, index: from.index + i }));
			return to;
		},
	};
}
