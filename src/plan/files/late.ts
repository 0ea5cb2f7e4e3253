import type { SignalOwner } from "../../descriptors/description.ts";
import { kindOf } from "../../descriptors/kinds.ts";
import type { Task } from "../../forest/task.ts";
import { ESRCH } from "../../linux/errno.ts";
import { F, F_OWNER, fOwnerEx, SETTABLE_FLAGS } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { bytesDatum } from "../../program/data.ts";
import { expiryOf } from "../clocks.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import { type FilePolicy, firstSlots, isOwn, slotsOf } from "./slots.ts";

/**
 * What descriptors do by themselves, set going last: timers, and signals about input, whose owner may be a thread and
 * whose sender is remembered with the credentials of who sets it.
 */
export function planArming(task: Task, context: Context, policy: FilePolicy): Part {
	const { draft } = context;
	const list = draft.leader;
	const slots = slotsOf(task.files, policy, () => {});
	for (const slot of firstSlots(slots).filter(isOwn)) {
		const { number, key, content } = slot;
		const { arm, armed } = kindOf(content).making;
		const elsewhere = context.common?.elsewhere.has(key) === true;
		if (elsewhere && armed === undefined) continue;
		arm?.(slot, {
			add: (call, args, why, options) => list.add("leave", call, args, why, options),
			report: draft.report,
			idOf: context.ids.arg,
			numbers: slots.filter((one) => one.key === key),
			expiryOf: (clock, remaining) => expiryOf(clock, remaining, task, context),
		});
		if (elsewhere) continue;
		if (content.owner !== undefined) setOwner(task, context, list, number, content.owner);
		if ((content.flags & O.ASYNC) !== 0)
			list.add(
				"leave",
				"fcntl",
				[BigInt(number), BigInt(F.SETFL), BigInt(content.flags & SETTABLE_FLAGS)],
				`${number} signals`,
			);
	}
	return draft.made();
}

function setOwner(
	{ identity, threads }: Task,
	{ ids }: Context,
	list: ListDraft,
	number: number,
	{ type, pid, signal }: SignalOwner,
): void {
	const fd = BigInt(number);
	if (signal !== 0) list.add("leave", "fcntl", [fd, BigInt(F.SETSIG), BigInt(signal)], `signal about ${number}`);
	if (pid === 0) return;
	// a process of the past, or of another pid namespace, cannot be told
	const ours = type !== F_OWNER.PGRP && (pid === identity.pid || threads.some(({ tid }) => tid === pid));
	const owner = bytesDatum(`owner of ${number}`, fOwnerEx.encode({ type, pid }), { align: 4 });
	const to = { ...owner, offset: fOwnerEx.offsetOf("pid") };
	if (ours || pid === identity.pid) ids.rewrite(list, "leave", pid, to, `who that is now`);
	list.add("leave", "fcntl", [fd, BigInt(F.SETOWN_EX), owner], `who is told about ${number}`, {
		expect: ours ? "success" : { successOr: ESRCH },
	});
}
