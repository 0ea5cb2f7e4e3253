import { describe, expect, test } from "vitest";
import { address, fileOffset } from "../../../src/bytes/address.ts";
import type { Finding } from "../../../src/finding.ts";
import type { PartialMapping, PartialTask } from "../../../src/forest/partial-task.ts";
import type { Mapping, Memory } from "../../../src/forest/task.ts";
import { noAccess } from "../../../src/understand/evidence/no-access.ts";
import { stackRecords } from "../../../src/understand/evidence/stack-guards.ts";
import { understandProtections } from "../../../src/understand/protections.ts";
import { pageAt, wordMemory } from "../../support/builders/clock-memory.ts";

/** What gdb wrote of a mapping: `prot` is missing where it has no segment. */
const mapping = (at: bigint, pages: bigint, prot?: number, path?: string, offset = 0n): PartialMapping => ({
	...{ start: address(at), end: address(at + pages * 4096n), held: 0n },
	...(prot === undefined ? {} : { prot }),
	...(path === undefined ? {} : { file: { path, offset: fileOffset(offset), deleted: false } }),
});

const [READ, WRITE, EXEC] = [1, 2, 4];
const at = 0x7f00_0000_0000n;

interface Asked {
	readonly ip?: bigint;
	readonly closed?: readonly bigint[];
	readonly linked?: number;
	readonly counterpart?: number;
	readonly donor?: readonly (readonly [path: string, offset: bigint, prot: number])[];
	readonly writer?: "kernel" | "gdb";
}

/** The protection of the first of some mappings, and what is said. */
function ask(mappings: readonly PartialMapping[], asked: Asked = {}) {
	const { ip = 0n, closed = [], linked, counterpart, donor, writer = "gdb" } = asked;
	const threads = [{ tid: 7, registers: { ip, sp: 0n, fs_base: 0n } }];
	const memory = { ...wordMemory([]), mappings };
	const dead = { writer, threads, memory } as unknown as PartialTask;
	const [first] = mappings;
	const evidence = {
		stacks: stackRecords(dead),
		noAccess: new Set(closed),
		linked: {
			...dead,
			memory: { ...memory, mappings: mappings.map((one) => (linked === undefined ? one : { ...one, prot: linked })) },
		},
	};
	const lent = donor?.map(([path, offset, prot], i) => ({
		...pageAt(0x6000_0000_0000n + BigInt(i) * 4096n),
		...{ prot, backing: { kind: "file", path, offset } },
	}));
	const findings: Finding[] = [];
	const of = understandProtections(
		dead,
		evidence,
		lent === undefined ? undefined : ({ mappings: lent } as unknown as Memory),
		(one) => (one === first && counterpart !== undefined ? ({ prot: counterpart } as Mapping) : undefined),
		(finding) => findings.push(finding),
	);
	return {
		prot: first === undefined ? undefined : of(first),
		said: findings.map(({ weight, text }) => `${weight}: ${text}`),
	};
}

const FILE = "/opt/image";
const leftOut = (prot: string, path = FILE): string =>
	`gdb's cores leave out what a file (${path}) has as it was mapped; ${prot} is assumed`;

describe("the protection of a mapping is", () => {
	test("what the kernel's core says, whoever else speaks", () => {
		const asked = { writer: "kernel", counterpart: READ | WRITE, closed: [at], linked: 7 } as const;
		expect(ask([mapping(at, 1n, READ)], asked)).toEqual({ prot: READ, said: [] });
	});

	test("none where libc's records say so, though gdb shows it readable and the donor's was", () => {
		expect(ask([mapping(at, 1n, READ)], { closed: [at], counterpart: READ })).toEqual({
			prot: 0,
			said: [
				"note: nothing may access it, though gdb's cores show it as readable: a guard of a stack, or what an arena of malloc has in reserve, as libc's records have it",
			],
		});
	});

	test("what gdb shows, as far as that is to be believed", () => {
		expect(ask([mapping(at, 1n, READ | WRITE)], { counterpart: READ })).toEqual({ prot: 3, said: [] });
		expect(ask([mapping(at, 1n, READ)], { counterpart: 0 })).toEqual({ prot: 0, said: [] });
		expect(ask([mapping(at, 1n, READ | EXEC)], { counterpart: EXEC })).toEqual({ prot: EXEC, said: [] });
	});

	test("that of the donor's mapping of the same part of the file, before what its headers say", () => {
		const asked = { linked: READ, donor: [[FILE, 0n, 5]] } as const;
		expect(ask([mapping(at, 1n, undefined, FILE)], asked)).toEqual({ prot: 5, said: [] });
		// the donor had two there, or another part
		const two = {
			linked: 1,
			donor: [
				[FILE, 0n, 5],
				[FILE, 4096n, 3],
			],
		} as const;
		expect(ask([mapping(at, 2n, undefined, FILE)], two).prot).toBe(1);
		expect(ask([mapping(at, 1n, undefined, FILE)], { linked: 1, donor: [[FILE, 4096n, 5]] }).prot).toBe(1);
	});

	test("executable where a thread runs, which no header tells of", () => {
		expect(ask([mapping(at, 1n, undefined, FILE)], { ip: at + 8n })).toEqual({
			prot: READ | EXEC,
			said: [
				`note: gdb's cores leave out what a file (${FILE}) has as it was mapped; it is r-x, as a thread runs in it`,
			],
		});
		expect(ask([mapping(at, 1n, undefined, FILE)], { ip: at + 8n, linked: READ }).prot).toBe(READ);
	});

	test("that of code where other parts of the file are, without what was written", () => {
		const others = [mapping(at + 4096n, 1n, 7, FILE, 4096n)];
		expect(ask([mapping(at, 1n, undefined, FILE), ...others])).toEqual({
			prot: READ | EXEC,
			said: [`caution: ${leftOut("r-x")}, as other parts of it can be executed`],
		});
	});

	test("writable in /dev/shm, and readable elsewhere: one finding for all of a kind", () => {
		expect(ask([mapping(at, 1n, undefined, "/dev/shm/mono.8")])).toEqual({
			prot: READ | WRITE,
			said: [`caution: ${leftOut("rw-", "/dev/shm/mono.8")}, as that is there to be shared`],
		});
		const files = [mapping(at, 1n, undefined, FILE), mapping(at + 8192n, 1n, undefined, "/opt/other")];
		expect(ask(files)).toEqual({ prot: READ, said: [`caution: ${leftOut("r--")}`] });
	});

	test("not known of readable memory without a name", () => {
		expect(ask([mapping(at, 1n, READ)])).toEqual({
			prot: READ,
			said: ["caution: gdb's cores do not tell its protection; r-- is assumed"],
		});
	});
});

describe("what an arena of glibc has in reserve", () => {
	const HEAP = 0x7f68_5400_0000n;
	const END = HEAP + (64n << 20n);
	const accessible = 0x21000n;
	const of = (record: readonly bigint[], end = END) => {
		const mappings = [
			mapping(HEAP, accessible / 4096n, 3),
			mapping(HEAP + accessible, (end - HEAP - accessible) / 4096n, READ),
		];
		return [...noAccess({ memory: { ...wordMemory([[HEAP, record]]), mappings } }, [])];
	};

	test("is known by the record at its start", () => {
		expect(of([HEAP + 0x30n, 0n, 0x20000n, accessible])).toEqual([HEAP + accessible]);
	});

	test.each([
		["another part may be accessed", [HEAP + 0x30n, 0n, 0x20000n, accessible + 4096n], END],
		["more is in use than may be", [HEAP + 0x30n, 0n, accessible + 1n, accessible], END],
		["it ends elsewhere", [HEAP + 0x30n, 0n, 0x20000n, accessible], END - 4096n],
	] as const)("is not where %s", (_, record, end) => {
		expect(of(record, end)).toEqual([]);
	});
});
