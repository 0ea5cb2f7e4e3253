import { type Address, hex, plus, TASK_SIZE } from "../../bytes/address.ts";
import { endOf, heldPlaced, type Placed } from "../../bytes/extent.ts";
import type { Range } from "../../bytes/range.ts";
import { refuse } from "../../errors.ts";
import { contentParts } from "../../forest/content-parts.ts";
import type { Mapping, Memory } from "../../forest/task.ts";

/** An address space, told apart by what has to be done about it. */
export interface Survey {
	/** To be mapped with mmap(2): anonymous, file, object, sysv. Ascending, without overlaps. */
	readonly regular: readonly Mapping[];
	/** Pages that fault, inside regular mappings. */
	readonly guards: readonly Range[];
	/** The bytes of private memory that their sources have, ascending, each within one mapping. */
	readonly contents: readonly Placed<Address>[];
	/** Private memory of files that is to be zeros where the file has something else. */
	readonly blanks: readonly Range[];
	/** The private mappings that `contents` and `blanks` write to. */
	readonly filled: ReadonlySet<Mapping>;
}

/**
 * Looks an address space over before anything is planned for it.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for rings of asynchronous I/O, maps of sockets, and addresses above 2^47;
 *   ERR_TASK_UNRUNNABLE where mappings overlap or contents belong to no private memory.
 */
export function surveyMemory(memory: Pick<Memory, "mappings" | "contents">): Survey {
	const guards = memory.mappings.filter(({ backing }) => backing.kind === "guard");
	const solid = memory.mappings.filter(({ backing }) => backing.kind !== "guard" && backing.kind !== "vsyscall");
	for (const [i, mapping] of solid.entries()) check(mapping, solid[i + 1]);
	const contents: Placed<Address>[] = [];
	const blanks: Range[] = [];
	const filled = new Set<Mapping>();
	for (const content of memory.contents) {
		for (const part of contentParts(content, solid)) {
			const { mapping, start, length, available } = part;
			if (mapping.backing.kind === "vdso" || mapping.backing.kind === "vvar") continue;
			if (available > 0n || mapping.backing.kind !== "anonymous") filled.add(mapping);
			if (available > 0n) contents.push(heldPlaced(part));
			// fresh anonymous memory is zeros already
			if (available < length && mapping.backing.kind !== "anonymous")
				blanks.push({ start: plus(start, available), end: endOf(part) });
		}
	}
	return { regular: solid.filter(isRegular), guards, contents, blanks, filled };
}

const isRegular = ({ backing: { kind } }: Mapping): boolean =>
	kind === "anonymous" || kind === "file" || kind === "object" || kind === "sysv";

function check(mapping: Mapping, next: Mapping | undefined): void {
	const subject = nameOf(mapping);
	const { kind } = mapping.backing;
	if (kind === "aio" || kind === "socket")
		refuse("ERR_UNSUPPORTED", {
			subject,
			finding: kind === "aio" ? "is a ring of asynchronous I/O (io_setup)" : "is the ring of a packet socket",
			expectation: "which cannot be restored yet",
		});
	if (mapping.end > TASK_SIZE)
		refuse("ERR_UNSUPPORTED", {
			subject,
			finding: `ends at ${hex(mapping.end)}`,
			expectation: `expected user memory to end by ${hex(TASK_SIZE)}`,
		});
	if (next !== undefined && next.start < mapping.end)
		refuse("ERR_TASK_UNRUNNABLE", {
			subject,
			finding: `ends at ${hex(mapping.end)}`,
			expectation: `but the next mapping starts at ${hex(next.start)}`,
		});
}

/** `mapping 0x7f0000000000`. */
export const nameOf = ({ start }: Range): string => `mapping ${hex(start)}`;
