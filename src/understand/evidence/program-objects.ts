import { type Address, address, plus } from "../../bytes/address.ts";
import { rangeAt } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import { anObject, PT, readElfHeader, readProgramHeaders } from "../../elf/file.ts";
import { readSymbols } from "../../elf/object.ts";
import { NecromancerError } from "../../errors.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { isOther, isSameBuild, type JudgedFile, type Verdict } from "../../forest/verdict.ts";
import { AT } from "../../linux/auxv.ts";

/** This host's file of a path, judged, if any. */
export type OpenObject = (path: string) => JudgedFile | undefined;

/** How sure it must be that a file of this host is the object that was mapped. */
export type Sameness =
	/** It is the same build. */
	| "proven"
	/** Nothing speaks against it. What it says must then be proved by what the core holds. */
	| "possible";

/** The library whose variables are looked up, and where its code may be. */
export interface Library {
	/** Paths of its shared objects. */
	readonly objects: RegExp;
	/** Programs that are dynamically linked may contain it all the same, as node does libuv. */
	readonly alsoInDynamic?: true;
}

/**
 * Where variables of the dead process lie, by the symbol tables of this host's files: of the library's shared objects, and of
 * the executable where that may contain it; in the order of their addresses. Objects of another build, and broken ones, are
 * skipped.
 *
 * @returns for each object that has some of them, their addresses by name.
 */
export function* variablesOf(
	memory: PartialMemory,
	open: OpenObject,
	library: Library,
	names: readonly string[],
	sameness: Sameness = "proven",
): Generator<ReadonlyMap<string, Address>> {
	for (const { source, start } of objectsOf(memory, open, library, sameness)) {
		const found = addressesIn(source, start, names);
		if (found.size > 0) yield found;
	}
}

/** A file of this host that the dead process had mapped, and where it begins in memory. */
export interface ProgramObject {
	readonly path: string;
	readonly source: ByteSource;
	readonly start: Address;
}

/** The library's shared objects, and the executable where that may contain it, in the order of their addresses. */
export function* objectsOf(
	memory: PartialMemory,
	open: OpenObject,
	{ objects, alsoInDynamic }: Library,
	sameness: Sameness = "proven",
): Generator<ProgramObject> {
	const seen = new Set<string>();
	// a dynamic program has an interpreter, and that has an address
	const isStatic = (memory.auxv.find(({ type }) => type === AT.BASE)?.value ?? 0n) === 0n;
	for (const { start, file } of memory.mappings) {
		if (file === undefined || file.offset !== 0n || file.deleted || seen.has(file.path)) continue;
		const { path } = file;
		const contains = path === memory.executable && (isStatic || alsoInDynamic === true);
		if (!contains && !objects.test(path)) continue;
		seen.add(path);
		const here = open(path);
		if (here === undefined || !isSure(here.verdict, sameness)) continue;
		yield { path, source: here.source, start };
	}
}

const isSure = (verdict: Verdict, sameness: Sameness): boolean =>
	sameness === "proven" ? isSameBuild(verdict) : !isOther(verdict);

function addressesIn(source: ByteSource, start: Address, names: readonly string[]): ReadonlyMap<string, Address> {
	try {
		const symbols = readSymbols(source, names);
		if (symbols.size === 0) return new Map();
		const load = [...readProgramHeaders(source, readElfHeader(source, anObject))].find(
			({ p_type }) => p_type === PT.LOAD,
		);
		const bias = start - (load?.p_vaddr ?? 0n);
		return new Map([...symbols].map(([name, { value }]) => [name, address(bias + value)]));
	} catch (error) {
		if (error instanceof NecromancerError) return new Map();
		throw error;
	}
}

/** Code of the dead process: as the core holds it, or else as this host's file has it. `undefined` where neither does. */
export function codeAt(memory: PartialMemory, open: OpenObject, at: Address, length: number): Buffer | undefined {
	const held = memory.read(at, length);
	if (held !== undefined) return held;
	const mapping = rangeAt(memory.mappings, at);
	if (mapping?.file === undefined || at + BigInt(length) > mapping.end) return undefined;
	const file = open(mapping.file.path);
	if (file === undefined || isOther(file.verdict)) return undefined;
	return file.source.read(plus(mapping.file.offset, at - mapping.start), length);
}

/** glibc's and dietlibc's copy of the program break. musl keeps it in a variable without a name. */
const VARIABLE = "__curbrk";

const LIBC = { objects: /\/libc[-.][^/]*$/ };

/**
 * The dead process's exact program break, as its libc knew it: from the variable `__curbrk` of libc, or of the executable
 * when that is static. `undefined` where no object of the right build is at hand, or none has the variable.
 */
export function programBreak(memory: PartialMemory, open: OpenObject): Address | undefined {
	for (const found of variablesOf(memory, open, LIBC, [VARIABLE])) {
		const at = found.get(VARIABLE);
		const value = at === undefined ? undefined : memory.read(at, 8)?.readBigUInt64LE(0);
		if (value !== undefined && value !== 0n) return address(value);
	}
	return undefined;
}
