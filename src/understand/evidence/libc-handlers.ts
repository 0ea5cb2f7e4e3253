import { type Address, plus } from "../../bytes/address.ts";
import { lengthOf } from "../../bytes/range.ts";
import type { PartialMapping, PartialMemory } from "../../forest/partial-task.ts";
import type { SignalAction } from "../../forest/task.ts";
import { PROT_EXEC } from "../../linux/mman.ts";
import { type OpenObject, objectsOf } from "./program-objects.ts";

const GLIBC = { objects: /\/libc(?:\.so\.6|-2\.\d+\.so)$/ };

/** SA_SIGINFO, SA_RESTORER, SA_RESTART; SA_ONSTACK (include/uapi/asm/signal.h). */
const FLAGS = 0x1400_0004n;
const ON_STACK = 0x0800_0000n;

/**
 * glibc's own signals (nptl/pthreadP.h), with how it sets their handlers: SIGCANCEL at the first pthread_cancel(3), SIGSETXID
 * at the first thread (nptl/pthread_cancel.c, nptl/pthread_create.c, 2.34 and later).
 */
const own = [
	{ signal: 32, flags: FLAGS },
	{ signal: 33, flags: FLAGS | ON_STACK },
] as const;

/** No text of a libc is longer, bytes. */
const LONGEST_TEXT = 1n << 23n;

/**
 * The handlers that glibc sets for itself, which are the same in every process that has threads: pthread_cancel(3) and set*id(2)
 * reach other threads by them. Their addresses are in no symbol table of a stripped libc, but each looks at its arguments in
 * a way that no other function does, and code elsewhere in it takes its address. Nothing where that is not clear.
 */
export function libcHandlers(memory: PartialMemory, open: OpenObject): readonly SignalAction[] {
	for (const { path, source } of objectsOf(memory, open, GLIBC)) {
		const text = memory.mappings.find(({ file, prot = 0 }) => file?.path === path && (prot & PROT_EXEC) !== 0);
		if (text?.file === undefined || lengthOf(text) > LONGEST_TEXT) continue;
		const left = source.size - text.file.offset;
		const length = Number(lengthOf(text) < left ? lengthOf(text) : left);
		const code = source.read(text.file.offset, length);
		const restorer = code === undefined ? undefined : only(placesOf(code, RESTORER));
		if (code === undefined || restorer === undefined) continue;
		const taken = addressesTaken(code);
		return own.flatMap(({ signal, flags }) => {
			const handler = only(handlersOf(code, signal, taken));
			if (handler === undefined) return [];
			const at = (offset: number): Address => placeIn(text, offset);
			return [{ signal, handler: at(handler), flags, restorer: at(restorer), mask: 0n }];
		});
	}
	return [];
}

const placeIn = ({ start }: PartialMapping, offset: number): Address => plus(start, BigInt(offset));

const only = (found: readonly number[]): number | undefined => (found.length === 1 ? found[0] : undefined);

/** `mov $15,%rax; syscall`: rt_sigreturn, which is all that the restorer does. */
const RESTORER = Buffer.from("48c7c00f0000000f05", "hex");

/** The end of `cmpl $SI_TKILL,8(register)`: si_code of the second argument, which is in a register of the compiler's choice. */
const SENT_BY_TGKILL = Buffer.from("08fa", "hex");
const isCompare = (code: Buffer, at: number): boolean => code[at - 2] === 0x83 && ((code[at - 1] ?? 0) & 0xf8) === 0x78;

/** How long the beginning of a handler is, in which it looks at its arguments, bytes. */
const BEGINNING = 64;

/** Functions whose address is taken, and which compare their first argument to the signal and who sent it to tgkill(2). */
function handlersOf(code: Buffer, signal: number, taken: ReadonlySet<number>): number[] {
	// cmp $signal,%edi
	const isSignal = Buffer.from([0x83, 0xff, signal]);
	const found = new Set<number>();
	for (const at of placesOf(code, SENT_BY_TGKILL).filter((place) => isCompare(code, place)))
		for (let entry = at - 1; entry >= 0 && at - entry < BEGINNING; entry--) {
			if (!taken.has(entry)) continue;
			if (code.subarray(entry, at).indexOf(isSignal) >= 0) found.add(entry);
			break;
		}
	return [...found];
}

/** What `lea offset(%rip),register` names within the code. */
function addressesTaken(code: Buffer): Set<number> {
	const found = new Set<number>();
	for (let at = code.indexOf(0x8d); at >= 0 && at + 6 <= code.length; at = code.indexOf(0x8d, at + 1)) {
		const wide = at > 0 && ((code[at - 1] ?? 0) & 0xf8) === 0x48;
		const relative = ((code[at + 1] ?? 0) & 0xc7) === 0x05;
		if (!wide || !relative) continue;
		const target = at + 6 + code.readInt32LE(at + 2);
		if (target >= 0 && target < code.length) found.add(target);
	}
	return found;
}

function placesOf(code: Buffer, pattern: Buffer): number[] {
	const found: number[] = [];
	for (let at = code.indexOf(pattern); at >= 0; at = code.indexOf(pattern, at + 1)) found.push(at);
	return found;
}
