import { syscallNumbers } from "../../arch/x86-64/syscalls.ts";
import { type Address, plus } from "../../bytes/address.ts";
import { type DynamicFunction, dynamicFunctions } from "../../elf/dynamic.ts";

/** An old vdso whose functions go elsewhere. */
export interface Redirected {
	readonly image: Uint8Array;
	/** Functions that go on in the host's vdso. */
	readonly jumps: readonly string[];
	/** Functions that became system calls. */
	readonly calls: readonly string[];
	/** Functions left as they were: they read clocks that nobody sets any more. */
	readonly left: readonly string[];
}

/**
 * Rewrites the functions of a vdso that the running kernel does not know, at their very first bytes, for the program has
 * their addresses in many places: a jump to the host's function of that name, else the system call.
 *
 * @param host The host's image and the address where its first byte lies.
 */
export function redirect(old: Uint8Array, host: { readonly image: Uint8Array; readonly at: Address }): Redirected {
	const image = Uint8Array.from(old);
	const targets = new Map(dynamicFunctions(host.image).map(({ name, at }) => [name, plus(host.at, BigInt(at))]));
	const done = { jumps: [] as string[], calls: [] as string[], left: [] as string[] };
	const written = new Set<number>();
	for (const found of distinct(dynamicFunctions(old))) {
		const { name, at, size } = found;
		const target = targets.get(name);
		const number = callable.has(plainName(name)) ? syscallNumbers.get(plainName(name)) : undefined;
		const code = target !== undefined ? jump(target) : number !== undefined ? call(plainName(name), number) : undefined;
		const fits = code !== undefined && code.length <= size && !touches(written, at, code.length);
		if (!fits) {
			done.left.push(name);
			continue;
		}
		image.set(code, at);
		for (let i = 0; i < code.length; i++) written.add(at + i);
		(target === undefined ? done.calls : done.jumps).push(name);
	}
	return { image, ...done };
}

/** `clock_gettime` and `__vdso_clock_gettime` are one function with two names. */
function distinct(functions: readonly DynamicFunction[]): DynamicFunction[] {
	const byPlace = new Map<number, DynamicFunction>();
	for (const found of functions) {
		const known = byPlace.get(found.at);
		if (known === undefined || found.name.startsWith(PREFIX)) byPlace.set(found.at, found);
	}
	return [...byPlace.values()].sort((a, b) => a.at - b.at);
}

const PREFIX = "__vdso_";

const plainName = (name: string): string => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

const touches = (written: ReadonlySet<number>, at: number, length: number): boolean =>
	Array.from({ length }, (_, i) => at + i).some((byte) => written.has(byte));

/** What a vdso answers that a system call of the same arguments answers too. */
const callable: ReadonlySet<string> = new Set([
	...["clock_gettime", "gettimeofday", "time", "getcpu", "clock_getres", "getrandom"],
]);

/** movabs $target, %rax; jmp *%rax */
function jump(target: Address): Uint8Array {
	const code = Uint8Array.of(0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0);
	new DataView(code.buffer).setBigUint64(2, target, true);
	return code;
}

const imm32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

function call(name: string, number: number): Uint8Array {
	// mov $number, %eax; syscall; ret
	const plain = [0xb8, ...imm32(number), 0x0f, 0x05, 0xc3];
	if (name !== "getrandom") return Uint8Array.from(plain);
	// an opaque_len (r8) of all ones asks for the size of a state that only a vdso has: cmp $-1, %r8; jne; mov $-ENOSYS, %eax; ret
	return Uint8Array.from([0x49, 0x83, 0xf8, 0xff, 0x75, 0x06, 0xb8, ...imm32(-38), 0xc3, ...plain]);
}
