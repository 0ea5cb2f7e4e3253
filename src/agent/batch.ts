import { type Address, address } from "../bytes/address.ts";
import { u64, viewOf } from "../bytes/layout.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import { stepLayout } from "../program/abi.ts";
import type { ArgOf } from "../program/args.ts";
import { type AssembledStep, stepWriter } from "../program/assemble.ts";
import type { ArgsOf, CallName } from "../program/calls.ts";
import type { Expect } from "../program/program.ts";

/**
 * One request for the agent: system calls in a row, and the memory they refer to. Everything has its address at once, so
 * that structures can point at one another.
 */
export interface SyscallBatch {
	/** Memory that holds these bytes when the calls begin. */
	put(bytes: Uint8Array, align?: number): Slot;
	/** So many zero bytes. */
	space(size: number, align?: number): Slot;
	/** Appends a call; the slot holds its result afterwards. Whatever it returns, the next one follows. */
	call<C extends CallName>(name: C, ...args: ArgsOf<C, BatchArg>): Slot;
	/** The same, with a place for its result that need not be the batch's own: 8 bytes. */
	callInto<C extends CallName>(store: Slot, name: C, ...args: ArgsOf<C, BatchArg>): void;
	/** Goes on at a label when a value, masked, is `wanted`; with the next call otherwise. */
	branch(value: BatchArg, mask: bigint | number, wanted: BatchArg, to: Label): void;
	/** Goes on at a label. */
	jump(to: Label): void;
	/** Gives a label to the next call, or to the end. */
	mark(label: Label): void;
	/** Another list of steps, for a task to run. Unlike those of the batch itself, it ends at the first that fails. */
	list(): BatchList;
	/** Bytes that another call would take. */
	readonly taken: number;
	/** All of it, as it has to lie in memory. */
	encode(): EncodedBatch;
}

export interface BatchList {
	/** Appends a call that must succeed; with `anyway` it need not, and with `repeat` it is made until it fails. */
	call<C extends CallName>(name: C, args: ArgsOf<C, BatchArg>, options?: BatchCallOptions): Slot;
}

export interface BatchCallOptions {
	readonly anyway?: boolean;
	readonly repeat?: boolean;
}

/** Names a call of a batch, or its end, before or after it is known which; each is to be marked once. */
export interface Label {
	readonly name: string;
}

/** A place in the batch's memory. */
export interface Slot {
	readonly at: Address;
	/** Bytes. */
	readonly size: number;
}

/** As of any program; a label stands for the step that it is given to. */
export type BatchArg = number | ArgOf<Slot, BatchList | Label>;

export interface EncodedBatch {
	readonly at: Address;
	readonly bytes: Uint8Array;
	/** The first step. */
	readonly steps: Address;
	/** Bytes from `at` on that are worth reading afterwards. */
	readonly data: number;
	/** The names of the calls, for messages. */
	readonly calls: readonly CallName[];
}

type BatchStep = AssembledStep<Slot, BatchList | Label>;

/** The mask of a branch that looks at all of a value. */
export const EVERY_BIT = (1n << 64n) - 1n;

/** The mask of a branch that asks whether a call failed: the bit is set in what it returned then. */
export const SIGN = 1n << 63n;

/** A label that nothing has yet. */
export const label = (name: string): Label => ({ name });

/** A batch without calls, whose memory begins at the start of `area`. */
export function batchIn(area: Range): SyscallBatch {
	const contents: { readonly from: number; readonly bytes: Uint8Array }[] = [];
	const lists = new Map<BatchList, BatchStep[]>();
	let used = 0;
	let steps = 0;
	const space = (size: number, align = 8): Slot => {
		encoded = undefined;
		const from = Math.ceil(used / align) * align;
		used = from + size;
		return { at: address(area.start + BigInt(from)), size };
	};
	const openList = (usual: Expect): BatchList => {
		const entries: BatchStep[] = [];
		steps += 1;
		const list: BatchList = {
			call: (call, args, options) => {
				const save = space(8);
				const { anyway = false, repeat = false } = options ?? {};
				const expect = repeat ? "until-error" : anyway ? "anything" : usual;
				entries.push({ call, args: (args as readonly BatchArg[]).map(literal), save, expect });
				steps += 1;
				return save;
			},
		};
		lists.set(list, entries);
		return list;
	};
	const own = openList("anything");
	const ownEntries = lists.get(own) ?? [];
	const labels = new Map<Label, number>();
	const branch: SyscallBatch["branch"] = (value, mask, wanted, to) => {
		encoded = undefined;
		ownEntries.push({
			call: "branch",
			args: [...[value, mask, wanted].map(literal), { list: to }],
			expect: "anything",
		});
		steps += 1;
	};
	/** Kept until something is added, so that a batch that is sent again is encoded once. */
	let encoded: EncodedBatch | undefined;
	const takes = (): number => Math.ceil(used / 8) * 8 + steps * stepLayout.size;
	return {
		space,
		put: (bytes, align) => {
			const slot = space(bytes.length, align);
			contents.push({ from: Number(slot.at - area.start), bytes });
			return slot;
		},
		call: (name, ...args) => own.call(name, args),
		callInto: (save, call, ...args) => {
			encoded = undefined;
			ownEntries.push({ call, args: (args as readonly BatchArg[]).map(literal), save, expect: "anything" });
			steps += 1;
		},
		branch,
		jump: (to) => branch(0, 0, 0, to),
		mark: (label) => {
			encoded = undefined;
			labels.set(label, ownEntries.length);
		},
		list: () => {
			encoded = undefined;
			return openList("success");
		},
		get taken() {
			return takes();
		},
		encode: () => {
			if (encoded !== undefined) return encoded;
			const size = takes();
			if (BigInt(size) > lengthOf(area)) {
				throw new RangeError(`a batch of ${size} bytes in an area of ${lengthOf(area)}`);
			}
			const bytes = new Uint8Array(size);
			for (const content of contents) bytes.set(content.bytes, content.from);
			const starts = startsOf(lists, Math.ceil(used / 8) * 8);
			const stepOf = (list: BatchList, index = 0): Address =>
				address(area.start + BigInt((starts.get(list) ?? 0) + index * stepLayout.size));
			const firstStep = (to: BatchList | Label): Address => {
				if (!("name" in to)) return stepOf(to);
				const index = labels.get(to);
				if (index === undefined) throw new RangeError(`nothing is labelled ${to.name}`);
				return stepOf(own, index);
			};
			const write = stepWriter<Slot, BatchList | Label>({
				addressOf: ({ at }) => at,
				cellAt: ({ at, size }) => {
					if (size < u64.size) throw new RangeError(`8 bytes do not fit ${size}`);
					return at;
				},
				firstStep,
			});
			const view = viewOf(bytes);
			for (const [list, entries] of lists) write(view, starts.get(list) ?? 0, entries, 1);
			encoded = {
				at: area.start,
				bytes,
				steps: firstStep(own),
				data: used,
				calls: ownEntries.map(({ call }) => call),
			};
			return encoded;
		},
	};
}

function startsOf(lists: ReadonlyMap<BatchList, readonly BatchStep[]>, from: number): Map<BatchList, number> {
	const starts = new Map<BatchList, number>();
	let at = from;
	for (const [list, entries] of lists) {
		starts.set(list, at);
		at += (entries.length + 1) * stepLayout.size;
	}
	return starts;
}

const literal = (arg: BatchArg): ArgOf<Slot, BatchList | Label> => (typeof arg === "number" ? BigInt(arg) : arg);
