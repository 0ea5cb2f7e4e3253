import { hex, TASK_SIZE } from "../../bytes/address.ts";
import { refuse } from "../../errors.ts";
import { caution, loss } from "../../finding.ts";
import type { Bounds, Task } from "../../forest/task.ts";
import { auxvName, trimAuxv } from "../../linux/auxv.ts";
import { auxvPair } from "../../linux/elf-core.ts";
import { PR, PR_SET_MM, prctlMmMap } from "../../linux/prctl.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum, pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { mappedGhost } from "../files/ghosts.ts";
import { mayLinkExecutable } from "../host-rights.ts";
import type { ListDraft, Part } from "../part.ts";

/**
 * The longest auxiliary vector that is given, in words: 22 pairs, as many as Linux 6.18 makes itself. Its end the kernel
 * writes. What `saved_auxv` (56 words there, fewer in older kernels) cannot hold is refused.
 */
const AUXV_WORDS = 44;

/** `exe_fd` that leaves the executable as it is; then the call needs no capability. */
const KEEP_EXECUTABLE = 0xffff_ffff;

/** vm.mmap_min_addr: the kernel wants every bound at or above it, even one that means nothing. */
const LOWEST = 0x1_0000n;

/**
 * What /proc says about the process: where code, data, heap, stack, arguments and environment are, its auxiliary vector,
 * its executable, its name. brk(2) goes by it too.
 *
 * @throws NecromancerError ERR_TASK_UNRUNNABLE for bounds that the kernel refuses.
 */
export function planBounds({ identity, memory }: Task, context: Context): Part {
	const { draft, facts } = context;
	const leader = draft.leader;
	const { bounds, executable } = memory;
	const links = executable !== "" && mayLinkExecutable(facts);
	check(bounds);
	const vector = auxvOf(memory.auxv, context);
	const exe = (): number =>
		memory.executableGhost === undefined
			? context.inputs.file(executable, "read").number
			: context.inputs.made(mappedGhost(memory.executableGhost, "read")).number;
	const map = bytesDatum(
		"prctl_mm_map",
		prctlMmMap.encode({
			start_code: bounds.startCode,
			end_code: bounds.endCode,
			start_data: bounds.startData,
			end_data: bounds.endData,
			start_brk: bounds.startBrk,
			brk: bounds.brk,
			start_stack: bounds.startStack,
			arg_start: bounds.argStart,
			arg_end: bounds.argEnd,
			env_start: bounds.envStart,
			env_end: bounds.envEnd,
			auxv: 0n,
			auxv_size: vector?.bytes ?? 0,
			exe_fd: links ? exe() : KEEP_EXECUTABLE,
		}),
		{ pointers: vector === undefined ? [] : [{ at: prctlMmMap.offsetOf("auxv"), to: vector.place }] },
	);
	if (executable === "")
		draft.report(loss("executable", "executable", "is gone: /proc/PID/exe leads to the restorer's own"));
	else if (!links)
		draft.report(
			loss(
				"executable",
				`process ${identity.pid}`,
				`/proc/PID/exe does not name ${executable}: that needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; debuggers want to be told`,
			),
		);
	leader.add(
		"bounds",
		"prctl",
		[BigInt(PR.SET_MM), BigInt(PR_SET_MM.MAP), map, BigInt(prctlMmMap.size), 0n],
		`code, data, heap, stack, arguments${links ? ", auxiliary vector and executable" : " and auxiliary vector"}`,
	);
	if (memory.hugePagesDisabled === true)
		leader.add("bounds", "prctl", [BigInt(PR.SET_THP_DISABLE), 1n, 0n, 0n, 0n], "no huge pages");
	leader.add("bounds", "prctl", [BigInt(PR.SET_NAME), pathDatum("name", identity.comm), 0n, 0n, 0n], "its name");
	return context.draft.made();
}

/**
 * Whether it may be dumped and traced by its own user. The last thing: a change of ids resets it, and until it is sure to be
 * what was planned, nobody else may look.
 */
export function addDumpable(list: ListDraft, { memory: { dumpable } }: Task, { draft }: Context): void {
	// 2, dumpable by root, is what the kernel sets itself (fs.suid_dumpable); nobody may ask for it
	const value = dumpable === 1 ? 1n : 0n;
	if (dumpable > 1)
		draft.report(caution("dumpable", "dumpable", `was ${dumpable}, which prctl(2) does not set; 0 comes nearest`));
	list.add("leave", "prctl", [BigInt(PR.SET_DUMPABLE), value, 0n, 0n, 0n], "whether it may be traced");
}

function auxvOf(
	auxv: Task["memory"]["auxv"],
	{ draft }: Context,
): { readonly place: Place; readonly bytes: number } | undefined {
	const { kept, dropped } = trimAuxv(auxv, AUXV_WORDS);
	if (dropped.length > 0)
		draft.report(
			caution(
				"auxv-trimmed",
				"auxiliary vector",
				`/proc/PID/auxv will lack ${dropped.map(({ type }) => auxvName(type)).join(", ")}: the kernel takes ${AUXV_WORDS} words`,
			),
		);
	if (kept.length === 0) return undefined;
	const bytes = new Uint8Array(kept.length * auxvPair.size);
	const view = new DataView(bytes.buffer);
	for (const [i, { type, value }] of kept.entries())
		auxvPair.write(view, i * auxvPair.size, { a_type: BigInt(type), a_val: value });
	return { place: bytesDatum("auxiliary vector", bytes), bytes: bytes.length };
}

/** validate_prctl_map_addr (kernel/sys.c), so that a refusal can say which. */
function check(bounds: Bounds): void {
	const bad = (finding: string, expectation: string): never =>
		refuse("ERR_TASK_UNRUNNABLE", { subject: "bounds of the address space", finding, expectation });
	for (const [name, at] of Object.entries(bounds) as [string, bigint][])
		if (at < LOWEST || at >= TASK_SIZE) bad(`${name} is ${hex(at)}`, `expected ${hex(LOWEST)} to ${hex(TASK_SIZE)}`);
	const pairs: readonly (readonly [keyof Bounds, keyof Bounds])[] = [
		...([
			["startData", "endData"],
			["startBrk", "brk"],
			["argStart", "argEnd"],
			["envStart", "envEnd"],
		] as const),
	];
	for (const [from, to] of pairs)
		if (bounds[from] > bounds[to]) bad(`${from} is ${hex(bounds[from])}`, `expected at most ${to}, ${hex(bounds[to])}`);
	if (bounds.startCode >= bounds.endCode)
		bad(`startCode is ${hex(bounds.startCode)}`, `expected less than endCode, ${hex(bounds.endCode)}`);
}
