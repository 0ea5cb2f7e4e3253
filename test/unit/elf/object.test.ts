import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import elfy from "elfy";
import { afterAll, describe, expect, test } from "vitest";
import { fromBuffer, openFile } from "../../../src/bytes/source.ts";
import { aCore, anObject, PN_XNUM, readElfHeader, readProgramHeaders } from "../../../src/elf/file.ts";
import { readSymbols } from "../../../src/elf/object.ts";
import { fixtureNames, fixturePath, unpackedCores } from "../../support/builders/fixture-core.ts";
import { refusal } from "../../support/refusal.ts";
import { hasTool } from "../../support/tools.ts";

const cores = unpackedCores();
afterAll(cores.close);
const programs = ["bin/counter", "bin/counter-static", "bin/threads"].map(fixturePath);

describe("elfy reads the same headers as we do", () => {
	test.each([
		...programs.map((path) => [path, anObject] as const),
		...fixtureNames.map((name) => [name, aCore] as const),
	])("%s", (name, wanted) => {
		const path = wanted === aCore ? cores.path(name) : name;
		const source = openFile(path);
		const bytes = readFileSync(path);
		const parser = new elfy.Parser();
		const theirs = parser.parseHeader(bytes);
		const ours = readElfHeader(source, wanted);
		expect([theirs.class, theirs.endian, theirs.machine]).toEqual(["64", "lsb", "amd64"]);
		expect(theirs.type).toBe({ 2: "exec", 3: "dyn", 4: "core" }[ours.e_type]);
		expect(theirs.phnum).toBe(ours.e_phnum);
		expect(theirs.phnum).toBeLessThan(PN_XNUM);
		for (const field of ["entry", "phoff", "shoff"] as const) expect(BigInt(theirs[field])).toBe(ours[`e_${field}`]);
		for (const field of ["phentsize", "shentsize", "shnum", "shstrndx"] as const) {
			expect(theirs[field]).toBe(ours[`e_${field}`]);
		}
		const programs = parser.parsePrograms(bytes, theirs);
		for (const [i, segment] of [...readProgramHeaders(source, ours)].entries()) {
			const program = programs[i];
			for (const field of ["offset", "vaddr", "filesz", "memsz", "align"] as const) {
				// elfy's numbers are doubles: [vsyscall] at 0xffffffffff600000 is the one that need not be exact.
				const [mine, their] = [segment[`p_${field}`], program?.[field] ?? Number.NaN];
				if (mine <= BigInt(Number.MAX_SAFE_INTEGER)) expect(BigInt(their)).toBe(mine);
				else expect(their).toBe(Number(mine));
			}
			const flags = [...(segment.p_flags & 4 ? ["r"] : []), ...(segment.p_flags & 2 ? ["w"] : [])];
			expect(Object.keys(program?.flags ?? {}).sort()).toEqual(
				[...flags, ...(segment.p_flags & 1 ? ["x"] : [])].sort(),
			);
			expect(program?.type === "load").toBe(segment.p_type === 1);
			expect(program?.type === "note").toBe(segment.p_type === 4);
		}
		source.close();
	});
});

describe.skipIf(!hasTool("nm"))("symbols as nm (binutils) lists them", () => {
	test("from .symtab of a static program", () => {
		const path = fixturePath("bin/counter-static");
		const listed = execFileSync("nm", ["-S", "--defined-only", path], { encoding: "utf8" });
		const [, value, size] = /^([0-9a-f]+) ([0-9a-f]+) \w __curbrk$/m.exec(listed) ?? [];
		const symbols = readSymbols(openFile(path), ["__curbrk", "main", "no_such_symbol"]);
		expect([...symbols.keys()].sort()).toEqual(["__curbrk", "main"]);
		expect(symbols.get("__curbrk")).toEqual({ value: BigInt(`0x${value}`), size: BigInt(`0x${size}`) });
	});

	test("from .dynsym of a dynamic one, undefined ones left out", () => {
		const path = fixturePath("bin/threads");
		const listed = execFileSync("nm", [path], { encoding: "utf8" });
		const [, value] = /^([0-9a-f]+) \w main$/m.exec(listed) ?? [];
		const symbols = readSymbols(openFile(path), ["main", "malloc", "pthread_create"]);
		expect([...symbols]).toEqual([["main", { value: BigInt(`0x${value}`), size: expect.any(BigInt) }]]);
	});
});

describe("damaged objects are refused", () => {
	const sound = readFileSync(fixturePath("bin/counter"));
	const symbols = (bytes: Buffer) => refusal(() => readSymbols(fromBuffer("libc.so", bytes), ["main"]));
	const damaged = (damage: (bytes: Buffer) => void): Buffer => {
		const bytes = Buffer.from(sound);
		damage(bytes);
		return bytes;
	};

	test("with what is wrong", () => {
		expect(symbols(sound.subarray(0, 4000))).toBe(
			"ERR_BINARY_CORRUPT libc.so: it ends before its section headers, expected a sound ELF object",
		);
		expect(symbols(damaged((bytes) => bytes.writeUInt16LE(40, 58)))).toBe(
			"ERR_BINARY_CORRUPT libc.so: its section headers are 40 bytes, not 64, expected a sound ELF object",
		);
		expect(symbols(damaged((bytes) => bytes.writeBigUInt64LE(0xffff_ffff_ffff_0000n, 40)))).toBe(
			"ERR_BINARY_CORRUPT libc.so: it ends before its section headers, expected a sound ELF object",
		);
	});

	test("or read, whatever byte of the section headers is turned", () => {
		const shoff = Number(sound.readBigUInt64LE(40));
		for (let at = shoff; at < sound.length; at++) {
			try {
				readSymbols(
					fromBuffer(
						"libc.so",
						damaged((bytes) => bytes.writeUInt8((sound[at] ?? 0) ^ 0xff, at)),
					),
					["main"],
				);
			} catch (error) {
				expect(error).toMatchObject({ name: "NecromancerError", code: "ERR_BINARY_CORRUPT" });
			}
		}
	});

	test("no sections, no symbols", () => {
		expect(
			readSymbols(
				fromBuffer(
					"x",
					damaged((bytes) => bytes.writeBigUInt64LE(0n, 40)),
				),
				["main"],
			).size,
		).toBe(0);
	});
});
