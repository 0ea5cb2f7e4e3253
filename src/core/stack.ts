import type { Registers } from "../arch/architecture.ts";
import { type Address, address, plus } from "../bytes/address.ts";
import { rangeAt } from "../bytes/range.ts";
import { textFromBytes, textsFromBytes } from "../bytes/text.ts";
import { AT } from "../linux/auxv.ts";
import { auxvPair } from "../linux/elf-core.ts";
import type { Core } from "./core.ts";
import type { CoreMapping } from "./mappings.ts";
import type { CoreMemory } from "./memory.ts";

/** What execve laid out on top of the stack (fs/binfmt_elf.c, create_elf_tables); the same as /proc/PID/stat 28, 48-51. */
export interface StackBounds {
	/** The address of argc, `mm->start_stack`. */
	readonly startStack: Address;
	readonly argStart: Address;
	readonly argEnd: Address;
	readonly envStart: Address;
	readonly envEnd: Address;
	/** What /proc/PID/cmdline showed last. */
	readonly argv: readonly string[];
	/** The path that execve was given (AT_EXECFN), unless overwritten beyond reading. */
	readonly execfn?: string;
}

export type InitialStack =
	| ({ readonly kind: "found" } & StackBounds)
	/** In range and in order, but not certain: `reason` says what the program did to its stack. */
	| ({ readonly kind: "guessed"; readonly reason: string } & StackBounds)
	| { readonly kind: "unknown"; readonly reason: string };

/** mmap_min_addr's default: no pointer is lower, no argument count of ours higher. */
const LOWEST_POINTER = 65_536n;
const BLOCK = 65_536n;
/** Arguments and environment are at most three quarters of 8 MiB (fs/exec.c, bprm_stack_limits). */
const SEARCHED = 16n * 1024n * 1024n;
const MOST_WORDS = 1_000_000n;
const MOST_ARGUMENT_BYTES = 1_048_576n;
const PATH_MAX = 4096n;

/**
 * Finds the bounds of arguments and environment in the dead stack itself: below the strings lies the auxiliary vector, whose
 * content NT_AUXV repeats; below it envp, argv and argc. From argc upwards everything follows.
 */
export function initialStack(core: Core<Registers>, memory: CoreMemory): InitialStack {
	const at = (type: number): Address | undefined => {
		const value = core.auxv.find((pair) => pair.type === type)?.value;
		return value === undefined ? undefined : address(value);
	};
	const random = at(AT.RANDOM);
	const anchor = at(AT.EXECFN) ?? random;
	if (anchor === undefined) return unknown("the auxiliary vector names no address on the stack");
	const stack = rangeAt(memory.mappings, anchor);
	if (stack === undefined) return unknown("the stack is not in the core");
	if (memory.read(anchor, 1) === undefined) return unknown("the core does not hold the top of the stack");
	const top = at(AT.EXECFN) ?? plus(stack.end, -8n);
	const near = random !== undefined && random >= stack.start && random < top && top - random < SEARCHED;
	const low = near ? random : top;
	const execfn = at(AT.EXECFN) && stringAt(memory, top);
	const reading: StackReading = { memory, stack, low, top, ...(execfn !== undefined && { execfn }) };

	const auxv = findAuxv(core, reading);
	if (auxv === undefined) return guess(reading, low, "the auxiliary vector is not on the stack any more");
	const argc = findArgc(reading, auxv);
	if (argc === undefined) return guess(reading, auxv, "the argument count below the auxiliary vector is gone");
	return bounds(reading, argc, auxv);
}

interface StackReading {
	readonly memory: CoreMemory;
	readonly stack: CoreMapping;
	/** AT_RANDOM's bytes, right below which the vector ends, and the path above all strings; the same where only that is known. */
	readonly low: Address;
	readonly top: Address;
	readonly execfn?: string;
}

/** The vector ends right below AT_RANDOM's bytes; without that anchor it is looked for as far down as it can be. */
function findAuxv(core: Core<Registers>, { memory, stack, low }: StackReading): Address | undefined {
	const pairs = core.auxv.slice(0, 4).map(({ type, value }) => auxvPair.encode({ a_type: BigInt(type), a_val: value }));
	const pattern = Buffer.concat(pairs);
	if (pattern.length === 0) return undefined;
	const floor = low - SEARCHED > stack.start ? low - SEARCHED : stack.start;
	for (let end: bigint = low; end > floor; end -= BLOCK) {
		const start = end - BLOCK > floor ? end - BLOCK : floor;
		// Each block reaches a pattern's length into the one above, so that none is missed between two.
		const reach = end + BigInt(pattern.length) < stack.end ? end + BigInt(pattern.length) : stack.end;
		const block = memory.read(address(start), Number(reach - start));
		if (block === undefined) return undefined;
		for (let i = block.lastIndexOf(pattern); i >= 0; i = i === 0 ? -1 : block.lastIndexOf(pattern, i - 1)) {
			if ((start + BigInt(i)) % 8n === 0n) return address(start + BigInt(i));
		}
	}
	return undefined;
}

/**
 * Down from the vector lie only pointers and zeros until argc, the first small number. Zeros may be many: unsetenv(3) moves
 * envp's terminator down, and daemons that retitle themselves (nginx, postgres) put one into argv.
 */
function findArgc({ memory, stack }: StackReading, auxv: Address): Address | undefined {
	const lowest = auxv - 8n * MOST_WORDS > stack.start ? auxv - 8n * MOST_WORDS : stack.start;
	let block: Buffer = Buffer.alloc(0);
	let blockAt: bigint = auxv;
	for (let at = auxv - 8n, above = 0n; at >= lowest; at -= 8n, above++) {
		if (at < blockAt) {
			const start = at + 8n - 4096n > lowest ? at + 8n - 4096n : lowest;
			block = memory.read(address(start), Number(at + 8n - start)) ?? Buffer.alloc(0);
			blockAt = start;
			if (block.length === 0) return undefined;
		}
		const word = block.readBigUInt64LE(Number(at - blockAt));
		if (word === 0n || (word >= LOWEST_POINTER && word > above)) continue;
		const terminated = memory.readWord(address(at + 8n + 8n * word)) === 0n;
		// argv's and envp's terminators both lie above; the kernel aligns argc to 16 bytes.
		return word + 2n <= above && at % 16n === 0n && terminated ? address(at) : undefined;
	}
	return undefined;
}

function bounds(reading: StackReading, startStack: Address, auxv: Address): InitialStack {
	const { memory, top } = reading;
	const words = memory.read(startStack, Number(auxv - startStack)) ?? Buffer.alloc(0);
	const argc = Number(words.readBigUInt64LE(0));
	const pointers = (from: number, to: number): bigint[] =>
		Array.from({ length: to - from }, (_, i) => words.readBigUInt64LE(8 * (from + i)));
	const onStack = (pointer: bigint): boolean => pointer > auxv && pointer < top;
	const argv = pointers(1, 1 + argc);
	const envp = pointers(2 + argc, words.length / 8 - 1).filter(onStack);
	const [first] = argv;
	if (first === undefined || !onStack(first)) return guess(reading, startStack, "argv[0] does not point to the stack");

	const argStart = address(first);
	const untouched = argumentsEnd(reading, argStart, argc);
	const lowestEnv = envp.reduce((a, b) => (b < a ? b : a), top as bigint);
	const made = (argEnd: bigint): StackBounds => complete(reading, startStack, argStart, address(argEnd));
	// The environment begins where the arguments end. Its first pointers may be gone (unsetenv); a retitled program
	// has overwritten the arguments, but then envp still tells. No variable is empty, but a title's room ends in zeros.
	const filledUp = untouched !== undefined && untouched < lowestEnv && lowestEnv < top && isZero(memory, untouched);
	if (untouched !== undefined && untouched <= lowestEnv && !filledUp) return { kind: "found", ...made(untouched) };
	if (lowestEnv > argStart) return { kind: "guessed", reason: "the arguments were overwritten", ...made(lowestEnv) };
	return guess(reading, startStack, "arguments and environment were overwritten");
}

const isZero = (memory: CoreMemory, at: bigint): boolean => memory.read(address(at), 1)?.[0] === 0;

/** Where `count` strings end, unless they run past the top. */
function argumentsEnd({ memory, top }: StackReading, start: Address, count: number): bigint | undefined {
	let at: bigint = start;
	let left = count;
	while (at < top) {
		const length = top - at < BLOCK ? Number(top - at) : Number(BLOCK);
		const block = memory.read(address(at), length);
		if (block === undefined) return undefined;
		for (let i = block.indexOf(0); i >= 0; i = block.indexOf(0, i + 1)) {
			if (--left === 0) return at + BigInt(i) + 1n;
		}
		at += BigInt(length);
	}
	return undefined;
}

/** Any bounds that are in order and on the stack; the first string above the anchor is taken for all arguments. */
function guess(reading: StackReading, startStack: Address, reason: string): InitialStack {
	const { memory, low, top } = reading;
	const block = memory.read(low, Number(top - low < BLOCK ? top - low : BLOCK)) ?? Buffer.alloc(0);
	// Above AT_RANDOM's 16 bytes: the platform string, up to 8 KiB of zeros (arch_align_stack), argv[0].
	const platformEnd = block.indexOf(0, 16);
	const text = platformEnd < 0 ? -1 : block.subarray(platformEnd).findIndex((byte) => byte !== 0);
	const argStart = text < 0 ? top : plus(low, BigInt(platformEnd + text));
	const argEnd = argumentsEnd(reading, argStart, 1) ?? top;
	const aligned = address(startStack & ~15n);
	return { kind: "guessed", reason, ...complete(reading, aligned, argStart, address(argEnd)) };
}

function complete(
	{ memory, top, execfn }: StackReading,
	startStack: Address,
	argStart: Address,
	argEnd: Address,
): StackBounds {
	const length = argEnd - argStart < MOST_ARGUMENT_BYTES ? argEnd - argStart : MOST_ARGUMENT_BYTES;
	return {
		startStack,
		argStart,
		argEnd,
		envStart: argEnd,
		envEnd: top,
		argv: textsFromBytes(memory.read(argStart, Number(length)) ?? Buffer.alloc(0)),
		...(execfn !== undefined && { execfn }),
	};
}

function stringAt(memory: CoreMemory, at: Address): string | undefined {
	const place = memory.locate(at);
	if (place.kind !== "core") return undefined;
	const bytes = memory.read(at, Number(place.length < PATH_MAX ? place.length : PATH_MAX));
	const nul = bytes?.indexOf(0) ?? -1;
	return bytes === undefined || nul < 0 ? undefined : textFromBytes(bytes.subarray(0, nul));
}

const unknown = (reason: string): InitialStack => ({ kind: "unknown", reason });
