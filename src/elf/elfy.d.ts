/** elfy 1.0.0 ships no types. Only what object.ts and its test use; u64 fields are doubles, exact up to 2^53. */
declare module "elfy" {
	export interface Header {
		readonly class: "32" | "64";
		readonly endian: "lsb" | "msb";
		/** Undefined for values that elfy's tables do not know. */
		readonly type: string | undefined;
		readonly machine: string | undefined;
		readonly entry: number;
		readonly phoff: number;
		readonly shoff: number;
		readonly phentsize: number;
		readonly phnum: number;
		readonly shentsize: number;
		readonly shnum: number;
		readonly shstrndx: number;
	}
	export interface Program {
		readonly type: string | undefined;
		readonly offset: number;
		readonly vaddr: number;
		readonly filesz: number;
		readonly memsz: number;
		readonly align: number;
		readonly flags: Readonly<Record<string, true>>;
	}
	export interface Section {
		readonly name: number;
		readonly type: string | number;
		readonly off: number;
		readonly size: number;
		readonly link: number;
	}
	export class Parser {
		parseHeader(bytes: Buffer): Header;
		parsePrograms(bytes: Buffer, header: Header): Program[];
		parseSections(bytes: Buffer, header: Header): Section[];
	}
	const elfy: { readonly Parser: typeof Parser };
	export default elfy;
}
