import { describeSiginfo } from "../../arch/x86-64/siginfo-text.ts";
import { hex } from "../../bytes/address.ts";
import type { TimensEntry } from "../../criu/wire/generated/schema.ts";
import type { Task, Thread } from "../../forest/task.ts";
import { describeAuxv } from "../../linux/auxv.ts";
import { signalName } from "../../linux/signal.ts";
import { escapeText } from "../escape-text.ts";
import { findingsSection } from "../findings.ts";
import { foldedLines } from "../fold.ts";
import { counted, facts, section } from "../section.ts";
import { sizeText } from "../size-text.ts";
import { tableLines } from "../table.ts";
import type { Paint } from "../terminal.ts";
import { commandText } from "./command-text.ts";
import { descriptorsText } from "./descriptors.ts";
import { handlersText } from "./handlers.ts";
import type { ImagesView, ProcessView, TreeEntry } from "./images-view.ts";
import { octal } from "./json.ts";
import { limitsText } from "./limits.ts";
import { mappedFilesText } from "./mapped-files.ts";
import { mappingsText } from "./mappings.ts";
import { threadsText } from "./threads.ts";
import { secondsText, timersText } from "./timers.ts";

/** An image directory for people, a section at a time. */
export function* imagesText(view: ImagesView, paint: Paint, verbose: boolean): Generator<string, void, undefined> {
	const { name, tree, processes, fileCount, bytes, clock, others } = view;
	const [only] = tree;
	const who =
		tree.length === 1 && only !== undefined
			? `${paint.bold(escapeText(only.comm))}, pid ${only.pid}`
			: `${tree.length} processes`;
	yield `${paint.bold(escapeText(name))}: CRIU images of ${who}, ${sizeText(bytes)} in ${counted(fileCount, "file")}\n`;
	if (tree.length > 1)
		yield section("tree", `${tree.length}`, foldedLines(treeLines(tree, processes), paint, verbose), paint);
	const common = (view.shared ?? []).map(({ kind, id, what, processes: by }) => [
		`${kind} ${id}`,
		escapeText(what),
		`of ${by.join(", ")}`,
	]);
	yield section("shared", `${common.length}`, foldedLines(tableLines("lll", common), paint, verbose), paint);
	for (const process of processes) yield* processText(process, clock, paint, verbose, tree.length > 1);
	const rows = others.map(({ name: file, kind, size }) => [
		escapeText(file),
		sizeText(BigInt(size)),
		kind ?? "no image we know",
	]);
	yield section("images not shown", "", foldedLines(tableLines("lrl", rows), paint, verbose), paint);
	yield findingsSection("findings", view.findings, paint, verbose);
}

/** Children below their parents, indented; session and group where they are not the parent's. The root's parent is not in the images. */
function treeLines(tree: readonly TreeEntry[], processes: readonly ProcessView[]): string[] {
	const memory = new Map(processes.map(({ pid, mappings }) => [pid, memoryText(mappings)]));
	const entries = new Map(tree.map((entry) => [entry.pid, entry]));
	return depthFirst(tree).map(({ entry, depth }) => {
		const { pid, ppid, comm } = entry;
		const size = memory.get(pid);
		const remarks = [...remarksOn(entry, entries.get(ppid)), ...(size === undefined ? [] : [size])];
		return `  ${"  ".repeat(Math.min(depth, 32))}${pid} ${escapeText(comm)}${remarks.length === 0 ? "" : ` (${remarks.join(", ")})`}`;
	});
}

/** Each behind its parent, or behind its parent's earlier children and all of theirs; without recursion, as images may say anything. */
function depthFirst(tree: readonly TreeEntry[]): { readonly entry: TreeEntry; readonly depth: number }[] {
	const children = new Map<number, TreeEntry[]>();
	// in images parents come before their children; whoever names another is shown like a root
	const roots: TreeEntry[] = [];
	for (const entry of tree) {
		const { pid, ppid } = entry;
		const siblings = children.get(ppid) ?? roots;
		siblings.push(entry);
		children.set(pid, []);
	}
	const shown: { entry: TreeEntry; depth: number }[] = [];
	const waiting = roots.reverse().map((entry) => ({ entry, depth: 0 }));
	for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
		shown.push(next);
		const { depth } = next;
		const below = children.get(next.entry.pid) ?? [];
		for (const entry of [...below].reverse()) waiting.push({ entry, depth: depth + 1 });
	}
	return shown;
}

/** Of its address space, and of what the pages files hold for it: shared memory counts for each who has it. */
function memoryText(mappings: ProcessView["mappings"]): string {
	const sum = (bytes: (mapping: ProcessView["mappings"][number]) => bigint): string =>
		sizeText(mappings.reduce((all, mapping) => all + bytes(mapping), 0n));
	return `${sum(({ start, end }) => end - start)}, ${sum(({ held }) => held)} in the pages files`;
}

const remarksOn = ({ sid, pgid, state, status, threads }: TreeEntry, parent: TreeEntry | undefined): string[] => [
	...(state === "running" ? [] : [state]),
	...(status === undefined ? [] : [statusText(status)]),
	...(threads.length < 2 ? [] : [counted(threads.length, "thread")]),
	...(sid === parent?.sid ? [] : [`session ${sid}`]),
	...(pgid === parent?.pgid ? [] : [`group ${pgid}`]),
];

/** wait(2): seven bits of a signal, then eight of what was returned. */
const statusText = (status: number): string =>
	(status & 0x7f) === 0 ? `exit status ${(status >> 8) & 0xff}` : `killed by ${signalName(status & 0x7f)}`;

function* processText(
	process: ProcessView,
	clock: TimensEntry | undefined,
	paint: Paint,
	verbose: boolean,
	several: boolean,
): Generator<string, void, undefined> {
	const { pid, comm, state, task, mappings, files, threadViews, arguments: argv } = process;
	const leader = task.threads[0];
	const { cwd, root, umask, descriptors } = task.files;
	const threads = new Map(task.threads.map((thread) => [thread.tid, thread]));
	yield several ? `\n${paint.bold(`process ${pid}`)} (${escapeText(comm)})\n` : "\n";
	yield facts(
		[
			["state", state],
			["command", argv.length === 0 ? undefined : commandText(argv, verbose)],
			["executable", escapeText(task.memory.executable)],
			["directory", directoryText(cwd, root, umask)],
			["ids", idsText(task.identity)],
			["credentials", leader === undefined ? undefined : credentialsText(leader)],
			["namespaces", namespacesText(process.ownNamespaces)],
			["clock", clock === undefined ? undefined : clockText(clock)],
		],
		paint,
	);
	yield* threadsText(threadViews, mappings, paint, verbose, (tid) => threadLines(threads.get(tid)));
	const pending = task.pending.map((raw) => `  ${describeSiginfo(raw)}`);
	yield section("pending signals", `${task.pending.length}`, foldedLines(pending, paint, verbose), paint);
	const nowhere = task.memory.contents.length === 0 ? "left out of these images" : "zeros";
	yield* mappingsText(mappings, { held: "in the pages files", nowhere }, paint, verbose);
	yield* mappedFilesText(files, paint, verbose);
	yield* descriptorsText(descriptors, paint, verbose);
	yield handlersText(task.signalActions, mappings, paint);
	yield timersText(task, paint);
	yield limitsText(task.limits, paint, verbose);
	if (verbose) {
		const lines = task.memory.auxv.map((pair) => `  ${describeAuxv(pair)}`);
		yield section("auxiliary vector", "", lines, paint);
	}
}

const directoryText = (cwd: string | undefined, root: string | undefined, umask: number | undefined): string =>
	[
		...(cwd === undefined ? [] : [escapeText(cwd)]),
		...(root === undefined || root === "/" ? [] : [`root ${escapeText(root)}`]),
		...(umask === undefined ? [] : [`umask ${octal(umask)}`]),
	].join(", ");

const idsText = ({ ppid, pgid, sid }: Task["identity"]): string => `parent ${ppid}, group ${pgid}, session ${sid}`;

function credentialsText({ credentials, seccomp }: Thread): string {
	const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid, groups, effective, noNewPrivileges } = credentials;
	const four = (name: string, ids: readonly number[]): string => `${name} ${[...new Set(ids)].join("/")}`;
	return [
		four("uid", [uid, euid, suid, fsuid]),
		four("gid", [gid, egid, sgid, fsgid]),
		...(groups.length === 0 ? [] : [`groups ${groups.join(" ")}`]),
		effective === 0n ? "no capabilities" : `capabilities ${hex(effective)}`,
		...(noNewPrivileges ? ["no new privileges"] : []),
		...(seccomp === "none" ? [] : [`seccomp ${seccomp}`]),
	].join(", ");
}

const namespacesText = (own: readonly string[] | undefined): string | undefined =>
	own === undefined ? undefined : own.length === 0 ? "the dumper's" : `its own: ${own.join(", ")}; else the dumper's`;

const SECOND = 1_000_000_000n;

const clockText = ({ monotonic, boottime }: TimensEntry): string =>
	`monotonic ${secondsText(monotonic.tv_sec * SECOND + monotonic.tv_nsec, 9)}, boottime ${secondsText(boottime.tv_sec * SECOND + boottime.tv_nsec, 9)}`;

/** What only images know of a thread. */
function threadLines(thread: Thread | undefined): string[] {
	if (thread === undefined) return [];
	const { alternateStack: stack, clearTid, robustList, rseq, scheduling, parentDeathSignal } = thread;
	const parts = [
		...(clearTid === undefined ? [] : [`clear-tid ${hex(clearTid)}`]),
		...(robustList === undefined ? [] : [`robust list ${hex(robustList)}`]),
		...(rseq === undefined ? [] : [`rseq ${hex(rseq.area)} (${rseq.size} bytes)`]),
		...(stack === undefined ? [] : [`signal stack ${hex(stack.base)} (${sizeText(stack.size)})`]),
		...(scheduling.policy === 0 ? [] : [`policy ${scheduling.policy}, priority ${scheduling.priority}`]),
		...(scheduling.nice === 0 ? [] : [`nice ${scheduling.nice}`]),
		...(parentDeathSignal === 0 ? [] : [`${signalName(parentDeathSignal)} when its parent dies`]),
	];
	return parts.length === 0 ? [] : [parts.join("  ")];
}
