import { piecesOf } from "../../bytes/extent.ts";
import type { DescriptorKind } from "../../descriptors/kind.ts";
import { allKinds, type Description } from "../../descriptors/kinds.ts";
import type { Workshop } from "../../descriptors/workshop.ts";
import type { Task } from "../../forest/task.ts";
import { CLONE, cloneArgs } from "../../linux/sched.ts";
import { SIGCHLD } from "../../linux/signal.ts";
import { contextLayout, NO_REPORTS } from "../../program/abi.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum, cellDatum, spaceDatum } from "../../program/data.ts";
import { cloneArgsOf } from "../clone-args.ts";
import type { Context } from "../context.ts";
import type { MadeInput } from "../inputs.ts";
import { actorAt, actorOf } from "../opener.ts";
import type { Part } from "../part.ts";
import { WORKSHOP, WORKSHOP_END } from "../plan.ts";
import { ghostDescriptions } from "./ghosts.ts";
import { type FilePolicy, firstSlots, isOwn, type OwnSlot, slotsOf } from "./slots.ts";

/** All that the workshop makes for a process, in the order of its numbers. */
export const madeInWorkshop = (task: Task, policy: FilePolicy): readonly MadeInput[] => [
	...ghostDescriptions(task, policy),
	...madeKinds(task, policy).flatMap(({ workshop, slots }) => workshop.made(slots)),
];

/** Makes the descriptions of those kinds that are made before the process exists. */
export function makeDescriptions(task: Task, context: Context, policy: FilePolicy): Part {
	const workshop = workshopOf(context);
	for (const { workshop: kind, slots } of madeKinds(task, policy)) kind.make(slots, workshop);
	workshop.actor.asCaller();
	return context.draft.made();
}

interface MadeKind {
	readonly workshop: NonNullable<DescriptorKind<Description>["making"]["workshop"]>;
	readonly slots: readonly OwnSlot[];
}

/** In the order of the table of kinds. */
function madeKinds({ files }: Task, policy: FilePolicy): readonly MadeKind[] {
	const own = firstSlots(slotsOf(files, policy, () => {})).filter(isOwn);
	return allKinds.flatMap(({ name, kind: { making } }) => {
		const slots = own.filter(({ content }) => content.kind === name);
		return making.workshop === undefined || slots.length === 0 ? [] : [{ workshop: making.workshop, slots }];
	});
}

/** Bytes that are copied at a time: what a pipe holds unless told otherwise. */
const CHUNK = 65536;

/** What whoever makes something in the workshop has at hand. */
export function workshopOf({ draft, inputs, opener }: Context): Workshop {
	const list = () => draft.list(WORKSHOP);
	const add: Workshop["add"] = (call, args, why, options) => list().add("workshop", call, args, why, options);
	let buffer: Place | undefined;
	return {
		add,
		report: draft.report,
		actor: actorAt(actorOf(list, opener, true), "workshop"),
		inputs: inputs.inAgent,
		user: opener.user,
		behind: inputs.behindAgent,
		makeEnded: (what, pidfd) => {
			draft.list(what).add("workshop", "exit_group", [0n], what);
			const made = cellDatum(`id of ${what}`);
			const place = cloneArgsOf({ name: what, flags: CLONE.PIDFD, exitSignal: SIGCHLD, pidfd });
			const context = bytesDatum(`context of ${what}`, contextLayout.encode({ report_fd: NO_REPORTS, task: 0n }));
			add("spawn", [place, BigInt(cloneArgs.size), context, { list: what }], what, { save: made });
			add("wait4", [{ valueOf: made }, 0n, 0n, 0n], `${what}: it is waited for`);
		},
		copy: (content, into, what) => {
			buffer ??= spaceDatum("pipe buffer", CHUNK, 4096);
			const room = buffer;
			const fd = { input: inputs.inAgent.source(content.source) };
			for (const { offset, length } of piecesOf(content, BigInt(CHUNK))) {
				const expect = { exactly: length };
				// not splice(2): pieces that are not aligned in the file take more of a pipe's slots than they need
				add("pread64", [fd, room, length, offset], `what ${what} held`, { expect });
				add("write", [into, room, length], `into ${what}`, { expect });
			}
		},
	};
}

/** Once the process has all of it: a pipe ends with its last writer, and the room of a file without a name is free again. */
export function leaveWorkshop({ draft, inputs: { firstMade, behindAgent } }: Context): Part {
	if (firstMade < behindAgent)
		draft
			.list(WORKSHOP_END)
			.add(
				"workshop",
				"close_range",
				[BigInt(firstMade), BigInt(behindAgent - 1), 0n],
				"what was made is the process's alone",
			);
	return draft.made();
}
