import { i32Bytes } from "../../bytes/layout.ts";
import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { openFlags } from "../../descriptors/steps.ts";
import { isOutside, type Terminal } from "../../descriptors/terminal.ts";
import { controlOf } from "../../descriptors/tty-making.ts";
import { caution, type Finding } from "../../finding.ts";
import type { Forest } from "../../forest/forest.ts";
import type { Task } from "../../forest/task.ts";
import { AT_FDCWD } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { TIOC } from "../../linux/tty.ts";
import type { Arg } from "../../program/args.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import type { Stage } from "../plan.ts";

/** A controlling terminal, in terms of the processes that there will be. */
export interface Control {
	readonly terminal: Terminal;
	/** Leads its session, and takes it. */
	readonly leader: number;
	/** The group in its foreground; the leader's own where absent. */
	readonly foreground?: number;
	/** The name of the device, for what is no pty. */
	readonly device?: string;
}

/**
 * The terminals of sessions, by their leaders. Whoever was in the root's session, which nobody among the processes leads, is in the
 * root's own now.
 */
export function controlsOf({ processes, shared }: Pick<Forest, "processes" | "shared">): ReadonlyMap<number, Control> {
	const [root] = processes;
	const pids = new Set(processes.map(({ identity }) => identity.pid));
	const groups = new Set(processes.map(({ identity }) => identity.pgid));
	const own = (id: number, of: number | undefined): number | undefined =>
		pids.has(id) ? id : id === of ? root?.identity.pid : undefined;
	const found = new Map<number, Control>();
	for (const { thing: terminal } of shared.terminals.values()) {
		const { session, foreground = 0 } = terminal;
		const leader = session === undefined ? undefined : own(session, root?.identity.sid);
		if (leader === undefined || isOutside(terminal)) continue;
		const group = groups.has(foreground) ? (own(foreground, root?.identity.pgid) ?? foreground) : undefined;
		const device = terminal.index === undefined ? deviceOf(processes, terminal) : undefined;
		if (terminal.index === undefined && device === undefined) continue;
		found.set(leader, {
			...{ terminal, leader },
			...(group === undefined || group === leader ? {} : { foreground: group }),
			...(device === undefined ? {} : { device }),
		});
	}
	return found;
}

/** The name that one of the processes has a device open by. */
function deviceOf(processes: Forest["processes"], { id }: Terminal): string | undefined {
	for (const { files } of processes)
		for (const { description } of files.descriptors)
			if (description.kind === "tty" && description.place === "device" && description.terminal.id === id)
				return description.path;
	return undefined;
}

/** The leader of a session takes its terminal: whoever is born later has it too. */
export function addControl({ device, terminal }: Control, stage: Stage, list: ListDraft, context: Context): void {
	const take = (fd: Arg): void => list.add(stage, "ioctl", [fd, BigInt(TIOC.SCTTY), 0n], "its controlling terminal");
	if (device === undefined) {
		take({ input: context.inputs.made(controlOf(terminal)) });
		return;
	}
	const fd = cellDatum("its controlling terminal");
	const { number } = context.inputs.file(device, "node");
	const path = pathDatum("path of its controlling terminal", pathOfDescriptor(number));
	const flags = BigInt(O.RDWR | O.NOCTTY | O.CLOEXEC);
	list.add(stage, "openat", [AT_FDCWD, path, flags], device, { save: fd });
	take({ valueOf: fd });
	list.add(stage, "close", [{ valueOf: fd }], `${device} is its terminal`);
}

/** A file that whoever leads a session opens for all that have it. */
export interface SessionFile {
	readonly path: string;
	/** O_ flags. */
	readonly flags: number;
	/** That it waits under. */
	readonly number: number;
}

export function addSessionFiles(files: readonly SessionFile[], stage: Stage, list: ListDraft): void {
	for (const { path, flags, number } of files) {
		const landed = cellDatum(`${path}, for all that have it`);
		const how = BigInt(openFlags(flags) | O.CLOEXEC);
		const name = pathDatum(`path of ${path}`, path);
		list.add(stage, "openat", [AT_FDCWD, name, how], `${path}, for all that have it`, { save: landed });
		list.add(stage, "dup3", [{ valueOf: landed }, BigInt(number), BigInt(O.CLOEXEC)], "out of the way", {
			expect: { exactly: BigInt(number) },
		});
		list.add(stage, "close", [{ valueOf: landed }], `${path} waits for its numbers`);
	}
}

/** Puts a group into its foreground, which has to be there. */
export function addForeground(
	{ foreground, terminal, device }: Control,
	stage: Stage,
	list: ListDraft,
	context: Context,
): void {
	if (foreground === undefined || device !== undefined) return;
	const fd: Arg = { input: context.inputs.made(controlOf(terminal)) };
	const group = bytesDatum("its foreground group", i32Bytes(foreground));
	list.add(stage, "ioctl", [fd, BigInt(TIOC.SPGRP), group], `group ${foreground} is in the foreground`);
}

/** What is told of groups in the foreground of which nobody is left. */
export const lostForegrounds = ({ processes, shared }: Pick<Forest, "processes" | "shared">): readonly Finding[] => {
	const groups = new Set(processes.map(({ identity }) => identity.pgid));
	return [...shared.terminals.values()].flatMap(({ thing: { foreground, session, index } }) =>
		foreground === undefined || session === undefined || groups.has(foreground)
			? []
			: [
					caution(
						"session",
						`terminal ${index ?? ""}`.trim(),
						`had process group ${foreground} in its foreground, of which nobody is left; session ${session} has it`,
					),
				],
	);
};

/** The same of a process that is alone. */
export function planControl(
	{ identity: { pid } }: Task,
	context: Context,
	controls: ReadonlyMap<number, Control>,
): Part {
	const control = controls.get(pid);
	if (control !== undefined) addControl(control, "children", context.draft.leader, context);
	return context.draft.made();
}
