import { i64, layout, u64, viewOf } from "../bytes/layout.ts";
import { ELF_MAGIC, elf64Ehdr, elf64Phdr, elf64Sym, PT } from "./file.ts";

/** elf(5), one entry of the dynamic section. */
const elf64Dyn = layout("Elf64_Dyn", { d_tag: i64, d_val: u64 });

/** Dynamic tags (include/uapi/linux/elf.h). */
const DT = { NULL: 0n, HASH: 4n, STRTAB: 5n, SYMTAB: 6n, STRSZ: 10n, GNU_HASH: 0x6ffffef5n } as const;

const STT_FUNC = 2;

/** A function that an object exports. */
export interface DynamicFunction {
	readonly name: string;
	/** Bytes from the start of the image. */
	readonly at: number;
	/** Bytes, 0 where the object does not say. */
	readonly size: number;
}

/**
 * The exported functions of an object that lies in memory as one piece, as the vdso does: found the way ld.so finds them,
 * by program headers and the dynamic section. Whatever points outside the image ends the search; an image that is no ELF
 * object exports nothing.
 */
export function dynamicFunctions(image: Uint8Array): DynamicFunction[] {
	const view = viewOf(image);
	const within = (at: number, size: number): boolean => at >= 0 && at + size <= image.length;
	if (!within(0, elf64Ehdr.size) || view.getUint32(0) !== ELF_MAGIC || image[4] !== 2) return [];
	const header = elf64Ehdr.decode(image);
	const segments = table(view, Number(header.e_phoff), header.e_phnum, elf64Phdr);
	const load = segments.find(({ p_type }) => p_type === PT.LOAD);
	const dynamic = segments.find(({ p_type }) => p_type === PT.DYNAMIC);
	if (load === undefined || dynamic === undefined) return [];
	const placeOf = (address: bigint): number => Number(BigInt.asUintN(64, address - load.p_vaddr + load.p_offset));
	const tags = new Map<bigint, bigint>();
	for (const { d_tag, d_val } of table(view, placeOf(dynamic.p_vaddr), dynamic.p_filesz / 16n, elf64Dyn)) {
		if (d_tag === DT.NULL) break;
		tags.set(d_tag, d_val);
	}
	const place = (tag: bigint): number => placeOf(tags.get(tag) ?? -1n + load.p_vaddr - load.p_offset);
	const strings = image.subarray(place(DT.STRTAB)).subarray(0, Number(tags.get(DT.STRSZ) ?? 0n));
	const count = tags.has(DT.HASH) ? hashCount(view, place(DT.HASH)) : gnuHashCount(view, place(DT.GNU_HASH));
	return table(view, place(DT.SYMTAB), count, elf64Sym).flatMap(({ st_name, st_info, st_shndx, st_value, st_size }) => {
		const at = placeOf(st_value);
		if ((st_info & 0xf) !== STT_FUNC || st_shndx === 0 || !within(at, 1)) return [];
		return [{ name: textAt(strings, st_name), at, size: Math.min(Number(st_size), image.length - at) }];
	});
}

/** As many of `count` records as the image holds. */
function table<T>(
	view: DataView,
	at: number,
	count: number | bigint,
	record: { readonly size: number; read(view: DataView, at: number): T },
): T[] {
	const room = at >= 0 && at <= view.byteLength ? Math.floor((view.byteLength - at) / record.size) : 0;
	return Array.from({ length: Math.min(room, Number(count)) }, (_, i) => record.read(view, at + i * record.size));
}

/** nchain of DT_HASH is the number of symbols. */
const hashCount = (view: DataView, at: number): number =>
	at + 8 <= view.byteLength ? view.getUint32(at + 4, true) : 0;

/** DT_GNU_HASH does not say; the last chain ends where the lowest bit is set. */
function gnuHashCount(view: DataView, at: number): number {
	if (at + 16 > view.byteLength) return 0;
	const [buckets, first, bloom] = [0, 4, 8].map((offset) => view.getUint32(at + offset, true));
	if (buckets === undefined || first === undefined || bloom === undefined) return 0;
	const start = at + 16 + bloom * 8;
	const chains = start + buckets * 4;
	if (chains > view.byteLength) return 0;
	let last = 0;
	for (let i = 0; i < buckets; i++) last = Math.max(last, view.getUint32(start + i * 4, true));
	if (last < first) return first;
	for (let link = chains + (last - first) * 4; link + 4 <= view.byteLength; link += 4, last++)
		if ((view.getUint32(link, true) & 1) === 1) break;
	return last + 1;
}

/** Longer names than any vdso has would only make a hostile image expensive. */
const LONGEST_NAME = 128;

function textAt(strings: Uint8Array, at: number): string {
	const text = strings.subarray(at, at + LONGEST_NAME);
	const end = text.indexOf(0);
	return Buffer.from(text.subarray(0, end < 0 ? text.length : end)).toString("latin1");
}
