/**
 * The top of a stack as execve leaves it (fs/binfmt_elf.c, create_elf_tables), made by hand. From high to low: 8 zeros, the
 * path, environment, arguments, a random gap, the platform's name, 16 random bytes, the auxiliary vector, envp, argv, argc.
 */
export interface DeadStack {
	readonly start: bigint;
	readonly end: bigint;
	readonly bytes: Buffer;
	readonly auxv: readonly (readonly [number, bigint])[];
	readonly startStack: bigint;
	readonly argStart: bigint;
	readonly argEnd: bigint;
	readonly envEnd: bigint;
	/** Addresses of argv[] and envp[] themselves, for those who tamper. */
	readonly argvAt: bigint;
	readonly envpAt: bigint;
	readonly auxvAt: bigint;
	write(at: bigint, bytes: Uint8Array): void;
	writeWord(at: bigint, value: bigint): void;
}

export function deadStack(
	argv: readonly string[],
	env: readonly string[],
	{
		execfn = "/bin/prog",
		gap = 1000,
		size = 0x21000,
		end = 0x7ffd_0000_0000n,
		vdso = 0x7fff_f7fc_1000n,
		/** Pairs between those that every vector has. */
		more = [] as readonly (readonly [number, bigint])[],
	} = {},
): DeadStack {
	const bytes = Buffer.alloc(size);
	const start = end - BigInt(size);
	const write = (at: bigint, what: Uint8Array): void => bytes.set(what, Number(at - start));
	const writeWord = (at: bigint, value: bigint): void => void bytes.writeBigUInt64LE(value, Number(at - start));
	let at = end - 8n;
	const push = (text: string): bigint => {
		const raw = Buffer.from(`${text}\0`);
		at -= BigInt(raw.length);
		write(at, raw);
		return at;
	};
	const envEnd = push(execfn);
	const pushAll = (texts: readonly string[]): bigint[] => [...texts].reverse().map(push).reverse();
	const envp = pushAll(env);
	const argEnd = at;
	const args = pushAll(argv);
	const argStart = at;
	at -= BigInt(gap);
	const platform = push("x86_64");
	at -= 16n;
	write(at, Buffer.from("0123456789abcdef"));
	const auxv = [
		[33, vdso],
		[51, 3376n],
		[16, 0x178b_fbffn],
		[6, 4096n],
		...more,
		[25, at],
		[31, envEnd],
		[15, platform],
	] as const;
	const pairs = [...auxv, [0, 0n] as const];
	const words = 1 + args.length + 1 + envp.length + 1 + 2 * pairs.length;
	const startStack = (at - 8n * BigInt(words)) & ~15n;
	const argvAt = startStack + 8n;
	const envpAt = argvAt + 8n * BigInt(args.length + 1);
	const auxvAt = envpAt + 8n * BigInt(envp.length + 1);
	writeWord(startStack, BigInt(args.length));
	for (const [i, pointer] of args.entries()) writeWord(argvAt + 8n * BigInt(i), pointer);
	for (const [i, pointer] of envp.entries()) writeWord(envpAt + 8n * BigInt(i), pointer);
	for (const [i, [type, value]] of pairs.entries()) {
		writeWord(auxvAt + 16n * BigInt(i), BigInt(type));
		writeWord(auxvAt + 16n * BigInt(i) + 8n, value);
	}
	// What _start and main left below: return addresses, small numbers, zeros.
	for (let i = 1n; i < 64n; i++)
		writeWord(startStack - 8n * i, [0n, 2n, 0x5555_5555_5040n, startStack - 100n][Number(i % 4n)] ?? 0n);
	return { start, end, bytes, auxv, startStack, argStart, argEnd, envEnd, argvAt, envpAt, auxvAt, write, writeWord };
}
