import { isX8664 } from "../../core/core.ts";
import { machineName } from "../../elf/machine.ts";
import { describeAuxv } from "../../linux/auxv.ts";
import { escapeText } from "../escape-text.ts";
import { findingsSection } from "../findings.ts";
import { facts, section } from "../section.ts";
import { sizeText } from "../size-text.ts";
import type { Paint } from "../terminal.ts";
import { commandText } from "./command-text.ts";
import type { CoreView } from "./core-view.ts";
import { mappedFilesText } from "./mapped-files.ts";
import { mappingsText } from "./mappings.ts";
import { threadsText } from "./threads.ts";

/** A core for people, a section at a time. */
export function* coreText(view: CoreView, paint: Paint, verbose: boolean): Generator<string, void, undefined> {
	const { name, core, dead, comm, mappings, files, threads, findings } = view;
	const { size } = core.source;
	const writer = core.writer === "gdb" ? "gdb" : "Linux";
	yield `${paint.bold(escapeText(name))}: core of ${paint.bold(escapeText(comm))}, pid ${dead.pid}, ${sizeText(size)}, written by ${writer}\n\n`;
	yield facts(
		[
			["death", { text: deathText(view), paint: dead.death.signal === 0 ? (text) => text : paint.red }],
			["processor", isX8664(core) ? undefined : `${machineName(core.machine)}: here it can be looked at, and not run`],
			["command", commandOf(view, verbose)],
			["executable", escapeText(dead.memory.executable)],
			["ids", idsText(view)],
		],
		paint,
	);
	yield* threadsText(threads, mappings, paint, verbose);
	yield* mappingsText(mappings, { held: "in the core", nowhere: "untouched or left out" }, paint, verbose);
	yield* mappedFilesText(files, paint, verbose);
	if (verbose) {
		const lines = core.auxv.map((pair) => `  ${describeAuxv(pair)}`);
		yield section("auxiliary vector", "", lines, paint);
	}
	yield section("notes nobody reads", "", otherNotes(core), paint);
	yield findingsSection("not in this core", findings, paint, verbose);
}

const deathText = ({ dead: { death, threads } }: CoreView): string =>
	death.signal === 0 || threads.length === 1 ? death.words : `${death.words}, taken by thread ${death.tid}`;

/** As found on the dead stack; else the first 80 bytes that the kernel kept. */
function commandOf({ dead, core }: CoreView, verbose: boolean): string | undefined {
	const { stack } = dead.memory;
	if (stack.kind !== "unknown" && stack.argv.length > 0) {
		return `${commandText(stack.argv, verbose)}${stack.kind === "guessed" ? ` (${stack.reason})` : ""}`;
	}
	return core.process === undefined ? undefined : escapeText(core.process.pr_psargs);
}

function idsText({ dead: { ppid, pgid, sid, owner }, core }: CoreView): string {
	const nice = core.process === undefined ? 0 : (core.process.pr_nice << 24) >> 24;
	const known = [
		...(owner === undefined ? [] : [`uid ${owner.uid}`, `gid ${owner.gid}`]),
		...(ppid === undefined ? [] : [`parent ${ppid}`]),
		...(pgid === undefined ? [] : [`group ${pgid}`]),
		...(sid === undefined ? [] : [`session ${sid}`]),
		...(nice === 0 ? [] : [`nice ${nice}`]),
	];
	return known.join(", ");
}

/** Notes of one kind together: gdb leaves one for each thread. */
function otherNotes({ otherNotes: notes }: CoreView["core"]): string[] {
	const kinds = new Map<string, { count: number; bytes: number }>();
	for (const { owner, type, size } of notes) {
		const kind = `${escapeText(owner)} 0x${type.toString(16)}`;
		const { count, bytes } = kinds.get(kind) ?? { count: 0, bytes: 0 };
		kinds.set(kind, { count: count + 1, bytes: bytes + size });
	}
	return [...kinds].map(
		([kind, { count, bytes }]) => `  ${kind}: ${count > 1 ? `${count} notes, ` : ""}${bytes} bytes`,
	);
}
