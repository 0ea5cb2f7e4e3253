import { type Address, address, type FileOffset, fileOffset, PAGE_SIZE } from "../../../src/bytes/address.ts";
import type { Placed } from "../../../src/bytes/extent.ts";
import type { Range } from "../../../src/bytes/range.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { Files } from "../../../src/forest/files.ts";
import type { Backing, Bounds, Mapping, Memory, SharedObject, Task } from "../../../src/forest/task.ts";
import type { Context } from "../../../src/plan/context.ts";
import { ghostDescriptions } from "../../../src/plan/files/ghosts.ts";
import { closeInputs } from "../../../src/plan/files/inputs.ts";
import { neededFiles } from "../../../src/plan/files/needed-files.ts";
import { chooseHole, reserver } from "../../../src/plan/hole.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { sameIds } from "../../../src/plan/ids.ts";
import { type NeededFile, sourcesOf } from "../../../src/plan/inputs.ts";
import { type MemoryOptions, planMemory } from "../../../src/plan/memory/memory.ts";
import { planVdso } from "../../../src/plan/memory/vdso.ts";
import { type Part, partDraft } from "../../../src/plan/part.ts";
import { planBounds } from "../../../src/plan/process/bounds.ts";
import type { Arg } from "../../../src/program/args.ts";
import { bytesDatum, cellDatum } from "../../../src/program/data.ts";
import type { Step } from "../../../src/program/program.ts";
import { joinAreas, type ModelArea, type ModelHost, type ModelMemory, modelMemory } from "../models/model-memory.ts";
import { ownFiles } from "./own-files.ts";

/* Processes of nothing but memory, and what plans make of them on the model. */

export const PID = 5739;
export const PAGE = Number(PAGE_SIZE);

export interface MappingOptions {
	readonly prot?: number;
	readonly shared?: boolean;
	readonly flags?: number;
	readonly advice?: readonly number[];
}

/** `pages` pages from `start`. */
export function mapping(start: bigint, pages: number, backing: Backing, options: MappingOptions = {}): Mapping {
	const { prot = 3, shared = false, flags = 0, advice = [] } = options;
	return {
		start: address(start),
		end: address(start + BigInt(pages * PAGE)),
		backing,
		prot,
		shared,
		flags,
		advice: advice.reduce((bits, number) => bits | (1n << BigInt(number)), 0n),
	};
}

export const anonymous = { kind: "anonymous" } as const;
export const inFile = (path: string, page = 0, writable = false): Backing => ({
	kind: "file",
	path,
	offset: fileOffset(page * PAGE),
	writable,
});
export const inObject = (object: number, page = 0): Backing => ({
	kind: "object",
	object,
	offset: fileOffset(page * PAGE),
});

/** A file of pages: page i is full of bytes that tell it from all others. */
export const pagesFile = (pages: number, seed: number): Buffer => {
	const bytes = Buffer.alloc(pages * PAGE);
	for (let i = 0; i < pages * (PAGE / 8); i++) bytes.writeUInt32LE((seed * 0x9e3779b1 + i * 0x85ebca6b) >>> 0, i * 8);
	return bytes;
};

export const PAGES = "/images/pages-1.img";

/** `pages` pages of the pages file from its page `from` on. */
export const content = (
	file: Buffer,
	start: bigint,
	pages: number,
	from: number,
	available = pages * PAGE,
): Placed<Address> => ({
	start: address(start),
	length: BigInt(pages * PAGE),
	source: sourceOf(file),
	offset: fileOffset(from * PAGE),
	available: BigInt(available),
});

const sources = new WeakMap<Buffer, Placed<Address>["source"]>();
const sourceOf = (file: Buffer): Placed<Address>["source"] => {
	const known = sources.get(file) ?? fromBuffer(PAGES, file);
	sources.set(file, known);
	return known;
};

const bounds: Bounds = {
	...{ startCode: address(0x40_1000n), endCode: address(0x40_2000n) },
	...{ startData: address(0x40_3000n), endData: address(0x40_4000n), startStack: address(0x7fff_0000_1000n) },
	...{ startBrk: address(0x50_0000n), brk: address(0x50_0000n), argStart: address(0x7fff_0000_1100n) },
	...{ argEnd: address(0x7fff_0000_1200n), envStart: address(0x7fff_0000_1200n), envEnd: address(0x7fff_0000_1300n) },
};

export interface MemoryParts {
	readonly mappings: readonly Mapping[];
	readonly contents?: readonly Placed<Address>[];
	readonly objects?: readonly SharedObject[];
	readonly bounds?: Partial<Bounds>;
	readonly auxv?: Memory["auxv"];
	readonly dumpable?: number;
	readonly ip?: bigint;
	readonly descriptors?: Files["descriptors"];
	readonly ghosts?: Memory["ghosts"];
}

export function taskOf(parts: MemoryParts): Task {
	const memory: Memory = {
		mappings: [...parts.mappings].sort((a, b) => (a.start < b.start ? -1 : 1)),
		contents: parts.contents ?? [],
		objects: parts.objects ?? [],
		bounds: { ...bounds, ...parts.bounds },
		executable: "/bin/victim",
		files: new Map(),
		auxv: parts.auxv ?? [],
		dumpable: parts.dumpable ?? 1,
		...(parts.ghosts === undefined ? {} : { ghosts: parts.ghosts }),
	};
	const identity = { pid: PID, ppid: 1, pgid: PID, sid: PID, comm: "victim" };
	const files: Files = { descriptors: parts.descriptors ?? [] };
	return { identity, memory, files, threads: [{ tid: PID, registers: { ip: parts.ip ?? 0n } }] } as unknown as Task;
}

export interface Planned {
	readonly draft: Part;
	readonly hole: { readonly start: Address; readonly end: Address };
	readonly views: readonly Range[];
	/** The leader's. */
	readonly steps: readonly Step[];
	/** `call argument argument …`, literals in hexadecimal. */
	readonly calls: readonly string[];
}

export function planned(task: Task, facts: Partial<HostFacts> = {}, options: MemoryOptions = {}): Planned {
	const draft = partDraft();
	const hole = chooseHole(task.memory.mappings, 8n << 20n);
	const made: HostFacts = {
		...{ xstate: {} as never, xcr0: 0n, limits: [] },
		...{ vdso: { image: new Uint8Array(), vvarLength: 0n }, hugePages: "madvise", processors: 1 },
		...facts,
	};
	const sources = sourcesOf(task);
	const context: Context = {
		draft,
		hole,
		ids: sameIds,
		facts: made,
		...ownFiles(draft, made, 64, sources, neededOf(task), madeFor(task)),
		reportTarget: bytesDatum("report socket", new Uint8Array(16)),
		firstWorkFd: 64,
		go: cellDatum("go"),
		reserve: reserver(task.memory.mappings, hole),
	};
	const { views = [] } = planMemory(task, context, options);
	planVdso(task, context);
	planBounds(task, context);
	closeInputs(context);
	const steps = draft.made().lists.find(({ name }) => name === "leader")?.steps ?? [];
	return { draft: draft.made(), hole, views, steps, calls: steps.map(callText) };
}

const madeFor = (task: Task) => ghostDescriptions(task, { fds: new Map(), missing: "null" });

/** Where the model has what the workshop has made. */
const madeFrom = (task: Task): number => 65 + sourcesOf(task).length + neededOf(task).length;

const neededOf = (task: Task): NeededFile[] => neededFiles(task, { fds: new Map(), missing: "null" });

const callText = ({ call, args }: Step): string => [call, ...args.map(argText)].join(" ");

function argText(arg: Arg): string {
	if (typeof arg === "bigint") return arg.toString(16);
	if (Object.hasOwn(arg, "input")) return (arg as { input: { number: number } }).input.number.toString(16);
	return Object.hasOwn(arg, "datum") ? "@" : "*";
}

export function executed(
	task: Task,
	files: ReadonlyMap<string, Buffer>,
	facts: Partial<HostFacts> = {},
	host: Partial<ModelHost> = {},
	options: MemoryOptions = {},
): ModelMemory & Planned {
	const plan = planned(task, facts, options);
	const all = new Map([["/bin/victim", Buffer.alloc(1)], ...files]);
	const { vdso } = facts;
	const model = modelMemory({
		pid: PID,
		hole: plan.hole,
		files: all,
		...(vdso === undefined ? {} : { vdso }),
		...host,
		opened: new Map([
			...sourcesOf(task).flatMap(({ name }, i): [number, string][] => (all.has(name) ? [[65 + i, name]] : [])),
			...neededOf(task).map(({ path }, i): [number, string] => [65 + sourcesOf(task).length + i, path]),
			// a file without a name is called by the one that it had
			...madeFor(task).map(({ name }, i): [number, string] => [madeFrom(task) + i, name]),
			...(host.opened ?? []),
		]),
		written: new Set([
			...neededOf(task).flatMap(({ use }, i) => (use === "write" ? [65 + sourcesOf(task).length + i] : [])),
			...madeFor(task).flatMap(({ flags }, i) => ((flags & 3) === 2 ? [madeFrom(task) + i] : [])),
		]),
	});
	model.run(plan.draft.lists, "leader");
	return Object.assign(model, plan);
}

/** What the model must show for a task, written down from the task alone. */
export function expectedAreas({ memory }: Task): ModelArea[] {
	return memory.mappings
		.filter(({ backing }) => !["guard", "vsyscall", "vdso", "vvar"].includes(backing.kind))
		.map(({ start, end, prot, shared, backing, flags, advice }): ModelArea => {
			const marks: string[] = [];
			if ((flags & 0x100) !== 0) marks.push("growsdown");
			if ((flags & 0x2000) !== 0) marks.push("locked");
			if ((flags & 0x4000) !== 0) marks.push("noreserve");
			if ((flags & 0x4_0000) !== 0) marks.push(`hugetlb:${(flags >>> 26) & 0x3f}`);
			for (let bit = 0; bit < 64; bit++) if (((advice >> BigInt(bit)) & 1n) === 1n) marks.push(`${bit}`);
			return { start, end, prot, type: shared ? "shared" : "private", ...behind(memory, backing), marks: marks.sort() };
		})
		.reduce<ModelArea[]>(joinAreas, []);
}

function behind({ objects }: Memory, backing: Backing): { what: string; offset: bigint } {
	if (backing.kind === "file") return { what: backing.path, offset: backing.offset };
	if (backing.kind === "sysv") return { what: "/dev/zero", offset: backing.offset };
	if (backing.kind !== "object") return { what: "anonymous", offset: 0n };
	const name = objects.find(({ id }) => id === backing.object)?.name;
	return { what: name === undefined ? "/dev/zero" : `memfd:${name}`, offset: backing.offset };
}

/** The bytes a page must have: its content, what lies behind it, or zeros. */
export function expectedPage({ memory }: Task, at: bigint, files: ReadonlyMap<string, Buffer>): Buffer {
	const page = Buffer.alloc(PAGE);
	const held = memory.mappings.find(({ start, end, backing }) => start <= at && at < end && backing.kind !== "guard");
	if (held === undefined) return page;
	const { backing, start } = held;
	if (backing.kind === "file") {
		const file = files.get(backing.path) ?? Buffer.of();
		file.copy(page, 0, Number(backing.offset + at - start));
	}
	if (backing.kind === "object") {
		const object = memory.objects.find(({ id }) => id === backing.object);
		overlay(page, object?.contents ?? [], backing.offset + at - start);
	}
	if (!held.shared) overlay(page, memory.contents, at);
	return page;
}

function overlay(page: Buffer, contents: readonly Placed<Address | FileOffset>[], at: bigint): void {
	for (const { start, length, available, source, offset } of contents) {
		if (at < start || at >= start + length) continue;
		page.fill(0);
		const skipped = at - start;
		const count = available > skipped ? available - skipped : 0n;
		const bytes = source.read(fileOffset(offset + skipped), Math.min(PAGE, Number(count)));
		bytes?.copy(page);
	}
}
