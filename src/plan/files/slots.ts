import { type Description, kindOf } from "../../descriptors/kinds.ts";
import type { Slot } from "../../descriptors/steps.ts";
import { isOutside } from "../../descriptors/terminal.ts";
import { refuse } from "../../errors.ts";
import { type Finding, loss } from "../../finding.ts";
import type { Files } from "../../forest/files.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";

/** What is done about descriptors that cannot be opened as they were. */
export interface FilePolicy {
	/** Files that take the place of a descriptor's, by number; also of one that the dead process did not have. */
	readonly fds: ReadonlyMap<number, string>;
	/** `null` puts /dev/null in the place of whatever else cannot be opened. */
	readonly missing: "error" | "null";
	/** Directories to make files without a name in, by `GhostFile` id; where it was, for the others. */
	readonly ghosts?: ReadonlyMap<number, string>;
	/** Where directories without a name are made, by `GhostFile` id; at their own path, the others. */
	readonly directories?: ReadonlyMap<number, string>;
	/** `false` leaves its locks on files alone. */
	readonly locks?: boolean;
	/** Descriptors of the task whose files whoever calls us named: opened as he, not as the process's user. */
	readonly byCaller?: ReadonlySet<number>;
	/** The terminal of whoever calls us, in the place of one whose other end none of the processes has (--shell-job). */
	readonly terminal?: string;
}

/** One descriptor to be, with what its description was, or what takes its place. */
export type FdSlot = Slot<Description | Substitute>;

/** One that is as it was. */
export type OwnSlot = Slot<Description>;

/** Another file in the place of a descriptor's. */
export interface Substitute {
	readonly kind: "substitute";
	readonly path: string;
	readonly flags: number;
}

export const isOwn = (slot: FdSlot): slot is OwnSlot => slot.content.kind !== "substitute";

/** The first slot of each description, in their order. */
export function firstSlots(slots: readonly FdSlot[]): readonly FdSlot[] {
	const firsts = new Map<string, FdSlot>();
	for (const slot of slots) if (!firsts.has(slot.key)) firsts.set(slot.key, slot);
	return [...firsts.values()];
}

/**
 * What each number shall refer to, ascending.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for all at once that cannot be opened and have no substitute.
 */
export function slotsOf({ descriptors }: Files, policy: FilePolicy, report: (finding: Finding) => void): FdSlot[] {
	const refused: { readonly number: number; readonly what: string }[] = [];
	const slots = descriptors.map(({ number, closeOnExec, description }): FdSlot => {
		const callers = isElsewhere(description) ? policy.terminal : undefined;
		const named = policy.fds.get(number) ?? (isCurrent(description) ? undefined : callers);
		const unopenable = callers === undefined ? kindOf(description).making.unopenable(description) : undefined;
		if (named === undefined && unopenable === undefined)
			return {
				...{ number, closeOnExec, key: `${description.id}`, content: description },
				...(policy.byCaller?.has(number) === true ? { byCaller: true } : {}),
			};
		if (named === undefined) {
			if (policy.missing === "error") refused.push({ number, what: `${unopenable}` });
			else report(loss("replaced", `descriptor ${number}`, `was ${unopenable}; /dev/null takes its place`));
		}
		const path = named ?? "/dev/null";
		const flags = description.flags & (O_ACCMODE | O.APPEND | O.NONBLOCK);
		const content: Substitute = { kind: "substitute", path, flags };
		return { number, closeOnExec, key: `${description.id}=${path}`, content, byCaller: named !== undefined };
	});
	if (refused.length > 0) refuseAll(refused);
	const known = new Set(descriptors.map(({ number }) => number));
	for (const [number, path] of policy.fds)
		if (!known.has(number))
			slots.push({
				number,
				closeOnExec: false,
				key: `new ${number}`,
				content: { kind: "substitute", path, flags: O.RDWR },
				byCaller: true,
			});
	return slots.sort((a, b) => a.number - b.number);
}

const isElsewhere = (description: Description): boolean =>
	description.kind === "tty" && isOutside(description.terminal);

/** Whoever is in the session opens it himself. */
const isCurrent = (description: Description): boolean => description.kind === "tty" && description.place === "current";

/** The highest number that will be taken, -1 for none. */
export const highestNumber = ({ descriptors }: Files, { fds }: FilePolicy): number =>
	[
		...descriptors.flatMap(({ number, description }) => [
			number,
			...(kindOf(description).making.passing?.(description) ?? []),
		]),
		...fds.keys(),
	].reduce((most, number) => Math.max(most, number), -1);

function refuseAll(refused: readonly { readonly number: number; readonly what: string }[]): never {
	const [only] = refused;
	const numbers = refused.map(({ number }) => number).join(", ");
	const one = only !== undefined && refused.length === 1;
	return refuse("ERR_UNSUPPORTED", {
		subject: one ? `descriptor ${numbers}` : `descriptors ${numbers}`,
		finding: one ? `was ${only.what}` : refused.map(({ number, what }) => `${number} was ${what}`).join(", "),
		expectation: "which this version cannot restore",
		remedy: `name another file with --fd ${only?.number ?? "N"}=PATH, or let /dev/null take its place with --missing-fds null`,
	});
}
