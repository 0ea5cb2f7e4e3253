import { type Address, address, PAGE_SIZE, plus } from "../bytes/address.ts";
import { u64, viewOf } from "../bytes/layout.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { AGENT_ROOM, EXPECT, stepLayout } from "./abi.ts";
import { type ArgOf, type Datum, type InputFile, isValue, matchArg, type Place } from "./args.ts";
import { type CallName, callNumber, DO_END } from "./calls.ts";
import type { Expect, Placement, Program, Step, StepList } from "./program.ts";

/** A program as bytes at absolute addresses: what the blob runs. */
export interface Assembled<S extends Step = Step> extends Placement {
	/** To be loaded before the first step. Ascending. */
	readonly pieces: readonly AssembledPiece[];
	/** Must be zeros before the first step; nothing is sent for it. */
	readonly zeros: Range;
	/** Where it ends; the hole goes on behind it. Page aligned. */
	readonly end: Address;
	readonly contextAt: Address;
	/** Where a list begins. */
	readonly firstStep: (list: string) => Address;
	/** By id, which is what reports call them. */
	readonly steps: ReadonlyMap<number, NumberedStep<S>>;
}

export interface AssembledPiece {
	readonly at: Address;
	readonly bytes: Uint8Array;
}

/** A step and where in the program it stands. */
export interface NumberedStep<S extends Step = Step> {
	/** 1 and up, in the order of the program. */
	readonly id: number;
	/** How many steps the program has. */
	readonly total: number;
	readonly list: string;
	/** In its list, from 0. */
	readonly index: number;
	readonly step: S;
}

export interface AssembleOptions {
	/** The id of a step that shall fail. */
	readonly failStep?: number;
	/** Bytes at the beginning of the hole that are somebody else's: an agent's, unless said otherwise. */
	readonly reserved?: bigint;
}

/** No kernel has it: ENOSYS. */
const NO_SUCH_CALL = 0xfe00;

/** Numbers all steps, list after list. */
export function numberSteps<S extends Step>({ lists }: Pick<Program<S>, "lists">): NumberedStep<S>[] {
	const total = lists.reduce((sum, { steps }) => sum + steps.length, 0);
	let id = 0;
	return lists.flatMap(({ name, steps }) =>
		steps.map((step, index) => {
			id += 1;
			return { id, total, list: name, index, step };
		}),
	);
}

/**
 * Gives everything in a program its address in the hole, and writes it down as the blob reads it. First comes what has content,
 * then the steps, then what starts as zeros.
 *
 * @throws NecromancerError ERR_UNSUPPORTED where the hole is too small, ERR_USAGE for a `failStep` that is no step.
 */
export function assemble<S extends Step>(
	program: Program<S>,
	{ failStep, reserved = AGENT_ROOM }: AssembleOptions = {},
): Assembled<S> {
	const numbered = numberSteps(program);
	if (failStep !== undefined && numbered[failStep - 1] === undefined)
		refuse("ERR_USAGE", {
			subject: `step ${failStep}`,
			finding: "is not in the plan",
			expectation: `expected 1 to ${numbered.length}`,
		});
	const start = plus(program.hole.start, reserved);
	const held = program.data.filter(hasContent);
	const placed = new Map<Datum, Address>();
	const stepsAt = alignUp(place(held, start, placed), stepLayout.align);
	const firsts = new Map<string, Address>();
	const stepsEnd = placeLists(program.lists, stepsAt, firsts);
	const zerosEnd = place(
		program.data.filter((datum) => !hasContent(datum)),
		stepsEnd,
		placed,
	);
	const end = alignUp(zerosEnd, Number(PAGE_SIZE));
	if (end > program.hole.end)
		refuse("ERR_UNSUPPORTED", {
			subject: `plan of pid ${program.pid}`,
			finding: `takes ${end - program.hole.start} bytes`,
			expectation: `expected at most ${program.hole.end - program.hole.start}, the room that was set aside for it`,
		});

	const addressOf = ({ datum, offset = 0 }: Place): Address => {
		const at = placed.get(datum);
		if (at === undefined) throw new RangeError(`${datum.name} is not in the plan`);
		if (offset < 0 || offset > datum.size)
			throw new RangeError(`byte ${offset} of ${datum.name}, which has ${datum.size}`);
		return plus(at, BigInt(offset));
	};
	const firstStep = (list: string): Address => {
		const at = firsts.get(list);
		if (at === undefined) throw new RangeError(`the plan has no list ${list}`);
		return at;
	};

	const cellAt = (place: Place): Address => {
		if ((place.offset ?? 0) + u64.size > place.datum.size)
			throw new RangeError(`8 bytes do not fit ${place.datum.name}`);
		return addressOf(place);
	};

	const bytes = new Uint8Array(Number(stepsEnd - start));
	for (const datum of held) writeDatum(bytes, Number(addressOf({ datum }) - start), datum, addressOf);
	const write = stepWriter({ addressOf, cellAt, firstStep });
	const view = viewOf(bytes);
	let id = 1;
	for (const { name, steps } of program.lists) {
		write(view, Number(firstStep(name) - start), steps, id, failStep);
		id += steps.length;
	}
	return {
		pieces: bytes.length === 0 ? [] : [{ at: start, bytes }],
		zeros: { start: stepsEnd, end },
		end,
		blob: program.hole.start,
		contextAt: addressOf(program.context),
		addressOf,
		firstStep,
		steps: new Map(numbered.map((step) => [step.id, step])),
	};
}

const hasContent = ({ bytes, pointers }: Datum): boolean => bytes.length > 0 || pointers.length > 0;

/** Gives each datum the next address that is aligned as it asks, and returns where the last one ends. */
function place(data: readonly Datum[], from: Address, addresses: Map<Datum, Address>): Address {
	let at = from;
	for (const datum of data) {
		at = alignUp(at, datum.align);
		addresses.set(datum, at);
		at = plus(at, BigInt(datum.size));
	}
	return at;
}

/** The same for lists, each with a place for what ends it. */
function placeLists(lists: readonly StepList[], from: Address, firsts: Map<string, Address>): Address {
	let at = from;
	for (const { name, steps } of lists) {
		if (firsts.has(name)) throw new RangeError(`two lists are called ${name}`);
		firsts.set(name, at);
		at = plus(at, BigInt((steps.length + 1) * stepLayout.size));
	}
	return at;
}

function writeDatum(
	into: Uint8Array,
	at: number,
	{ name, bytes, size, pointers }: Datum,
	addressOf: Placement["addressOf"],
): void {
	if (bytes.length > size) throw new RangeError(`${name} has ${bytes.length} bytes in a room of ${size}`);
	into.set(bytes, at);
	const view = viewOf(into);
	for (const { at: offset, to } of pointers) {
		if (offset < 0 || offset + u64.size > size) throw new RangeError(`a pointer at byte ${offset} of ${name}`);
		u64.write(view, at + offset, addressOf(to));
	}
}

/**
 * Writes a list as the blob reads it, from anything that has addresses for its places and lists.
 *
 * @returns what takes where the list begins, the id of its first step, and the id of a step that shall fail.
 */
export function stepWriter<P extends object, L>({ addressOf, cellAt, firstStep }: Addresses<P, L>) {
	// made once: lists have ten thousands of steps
	const word = { literal: address, address: addressOf, value: cellAt, list: firstStep, input: numberOf };
	const fill = ({ call, args, expect, save }: AssembledStep<P, L>, id: number, fails: boolean) => {
		// whatever it may return otherwise: a step that is to fail must not get away with it
		const wanted = encodeExpect(fails ? "success" : expect);
		return {
			call: fails ? NO_SUCH_CALL : callNumber(call),
			indirect: args.reduce<number>((bits, arg, i) => (isValue(arg) ? bits | (1 << i) : bits), 0),
			expect: wanted.expect,
			id,
			arg: args.map((arg) => matchArg<bigint, P, L>(arg, word)),
			want: wanted.want,
			store: save === undefined ? 0n : cellAt(save),
		};
	};
	return (view: DataView, from: number, steps: readonly AssembledStep<P, L>[], firstId: number, failStep?: number) => {
		let at = from;
		for (const [i, step] of steps.entries()) {
			stepLayout.write(view, at, fill(step, firstId + i, firstId + i === failStep));
			at += stepLayout.size;
		}
		stepLayout.write(view, at, endRecord);
	};
}

const numberOf = ({ number }: InputFile): bigint => BigInt(number);

export interface AssembledStep<P extends object, L> {
	readonly call: CallName;
	readonly args: readonly ArgOf<P, L>[];
	readonly expect: Expect;
	readonly save?: P;
}

export interface Addresses<P extends object, L> {
	readonly addressOf: (place: P) => Address;
	/** Of a place that has room for 8 bytes. */
	readonly cellAt: (place: P) => Address;
	readonly firstStep: (list: L) => Address;
}

function encodeExpect(expect: Expect): { readonly expect: number; readonly want: bigint } {
	if (expect === "anything") return { expect: EXPECT.ANYTHING, want: 0n };
	if (expect === "success") return { expect: EXPECT.SUCCESS, want: 0n };
	if (expect === "until-error") return { expect: EXPECT.REPEAT, want: 0n };
	if ("exactly" in expect) return { expect: EXPECT.EXACTLY, want: address(expect.exactly) };
	return { expect: EXPECT.SUCCESS_OR, want: address(BigInt(-expect.successOr)) };
}

/** What ends a list. */
const endRecord = { call: DO_END, indirect: 0, expect: EXPECT.ANYTHING, id: 0, arg: [], want: 0n, store: 0n };

function alignUp(at: Address, align: number): Address {
	if (align < 1 || !Number.isInteger(Math.log2(align))) throw new RangeError(`an alignment of ${align} bytes`);
	const mask = BigInt(align - 1);
	return address((at + mask) & ~mask);
}
