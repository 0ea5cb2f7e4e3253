import elfy, { type Section } from "elfy";
import { fileOffset } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { anObject, elf64Sym, readElfHeader } from "./file.ts";

/** A symbol that an object defines. */
export interface ElfSymbol {
	/** Address in the object's own numbering: add the load bias. */
	readonly value: bigint;
	/** Bytes, 0 where the object does not say. */
	readonly size: bigint;
}

const SHN_UNDEF = 0;
const HEADER = 64;
const MOST_TABLE_BYTES = 64 * 1024 * 1024;

/** Symbols that are read at a time, bytes. */
const PIECE = 65_536 * elf64Sym.size;

/**
 * The defined symbols among `names`, from `.dynsym` and, where that lacks them, `.symtab`. elfy reads the header and the
 * sections; of the file's contents only the symbol tables and their strings are read.
 *
 * @throws NecromancerError ERR_CORE_MAGIC or ERR_CORE_KIND when it is no x86-64 object, ERR_CORE_TRUNCATED,
 *   ERR_BINARY_CORRUPT when its sections make no sense.
 */
export function readSymbols(source: ByteSource, names: Iterable<string>): ReadonlyMap<string, ElfSymbol> {
	const wanted = new Set(names);
	const found = new Map<string, ElfSymbol>();
	const sections = readSections(source);
	for (const kind of ["dynsym", "symtab"]) {
		// a linker makes one of each; the rest would only make a hostile file expensive
		for (const section of sections.filter(({ type }) => type === kind).slice(0, 1)) {
			const strings = sections[section.link];
			if (strings?.type !== "strtab") return corrupt(source, `its ${kind} has no string table`);
			collect(source, section, tableBytes(source, strings, "string table"), wanted, found);
		}
	}
	return found;
}

/** elfy's doubles are exact below 2^53, and anything larger is past the end of every file. */
type Table = Pick<Section, "type" | "off" | "size" | "link">;

function readSections(source: ByteSource): readonly Table[] {
	readElfHeader(source, anObject);
	const parser = new elfy.Parser();
	const head = source.read(fileOffset(0), HEADER) ?? corrupt(source, "it ends inside its header");
	const header = parser.parseHeader(head);
	if (header.shoff === 0 || header.shnum === 0) return [];
	if (header.shentsize !== HEADER) return corrupt(source, `its section headers are ${header.shentsize} bytes, not 64`);
	const length = header.shnum * header.shentsize;
	const table = Number.isSafeInteger(header.shoff) ? source.read(fileOffset(header.shoff), length) : undefined;
	if (table === undefined) return corrupt(source, "it ends before its section headers");
	// Header and table stand in for the file, so that no more is read. (elfy's slices of contents are then nonsense.)
	return parser.parseSections(Buffer.concat([head, table]), { ...header, shoff: HEADER });
}

function tableBytes(source: ByteSource, { off, size }: Table, what: string): Buffer {
	if (!(size <= MOST_TABLE_BYTES)) return corrupt(source, `its ${what} is ${size} bytes, expected at most 67108864`);
	const bytes = Number.isSafeInteger(off) ? source.read(fileOffset(off), size) : undefined;
	return bytes ?? corrupt(source, `it ends before its ${what}`);
}

function collect(
	source: ByteSource,
	section: Table,
	strings: Buffer,
	wanted: ReadonlySet<string>,
	found: Map<string, ElfSymbol>,
): void {
	const { off, size } = section;
	if (!Number.isSafeInteger(off) || BigInt(off) + BigInt(size) > source.size || size > MOST_TABLE_BYTES) {
		corrupt(source, "it ends before its symbol table");
	}
	const missing = [...wanted].filter((name) => !found.has(name));
	const places = placesOf(missing, strings);
	if (places.size === 0) return;
	for (let start = 0; start < size; start += PIECE) {
		const length = Math.min(PIECE, size - start);
		const piece = source.read(fileOffset(off + start), length) ?? corrupt(source, "it ends before its symbol table");
		for (let at = 0; at + elf64Sym.size <= length; at += elf64Sym.size) {
			const name = places.get(piece.readUInt32LE(at));
			if (name === undefined || found.has(name)) continue;
			const symbol = elf64Sym.decode(piece.subarray(at));
			if (symbol.st_shndx !== SHN_UNDEF) found.set(name, { value: symbol.st_value, size: symbol.st_size });
		}
	}
}

/** Linkers keep each string once, and alone or as the end of a few others. */
const MOST_PLACES = 1024;

/** Where the names stand among the strings; linkers let one name be the end of another. */
function placesOf(names: readonly string[], strings: Buffer): ReadonlyMap<number, string> {
	const places = new Map<number, string>();
	for (const name of names) {
		const bytes = Buffer.from(`${name}\0`);
		let count = 0;
		for (let at = strings.indexOf(bytes); at >= 0 && count < MOST_PLACES; at = strings.indexOf(bytes, at + 1)) {
			places.set(at, name);
			count++;
		}
	}
	return places;
}

const corrupt = (source: ByteSource, finding: string): never =>
	refuse("ERR_BINARY_CORRUPT", { subject: source.name, finding, expectation: "expected a sound ELF object" });
