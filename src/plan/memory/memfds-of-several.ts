import type { Mapping, SharedObject } from "../../forest/task.ts";
import { F } from "../../linux/fcntl.ts";
import { cellDatum, pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { addOwnership } from "../ownership.ts";
import type { Stage } from "../plan.ts";
import { howToMake, nameOfMemfd, sealsOf, sizeOfMemfd } from "./memfd-looks.ts";

/** A memfd of several processes, in the one that is there first: open as descriptor `number`, which all inherit. */
export function makeCommonMemfd(
	object: SharedObject,
	mappings: readonly Mapping[],
	number: number,
	context: Context,
): void {
	const { leader } = context.draft;
	const name = nameOfMemfd(object);
	const file = cellDatum(`descriptor of memfd ${name}, for all that have it`);
	const how = howToMake(object, mappings, context);
	const fd = BigInt(number);
	leader.add(
		"shared",
		"memfd_create",
		[pathDatum(`name of memfd ${name}`, name), how],
		`memfd ${name}, for all that have it`,
		{
			save: file,
		},
	);
	leader.add("shared", "fcntl", [{ valueOf: file }, BigInt(F.DUPFD_CLOEXEC), fd], `memfd ${name}, out of the way`, {
		expect: { exactly: fd },
	});
	leader.add("shared", "close", [{ valueOf: file }], `memfd ${name} is ${number}`);
	leader.add("shared", "ftruncate", [fd, sizeOfMemfd(object, name)], `its ${object.size} bytes`);
}

/** Whose it is and what it is sealed against, when all have mapped it and nobody writes to it by a window any more. */
export function settleCommonMemfd(object: SharedObject, number: number, stage: Stage, context: Context): void {
	const [fd, seals, name] = [BigInt(number), sealsOf(object), nameOfMemfd(object)];
	addOwnership(object, fd, `memfd ${name}`, stage, context);
	if (seals !== 0)
		context.draft.leader.add(stage, "fcntl", [fd, BigInt(F.ADD_SEALS), BigInt(seals)], `seals of memfd ${name}`);
}
