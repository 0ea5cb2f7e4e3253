/* A vdso of our own: one page of ELF with functions at chosen places, written byte by byte. */

export interface VdsoFunction {
	readonly name: string;
	readonly at: number;
	readonly size: number;
}

export interface VdsoOptions {
	readonly hash?: "sysv" | "gnu";
	/** Added to all addresses in the file: old kernels linked theirs high up. */
	readonly base?: bigint;
	/** Of the code around the functions. */
	readonly filler?: number;
}

/** Program headers at 0x40, dynamic section at 0x100, symbols at 0x200, strings at 0x400, hash table at 0x600, code from 0x800. */
export function vdsoImage(functions: readonly VdsoFunction[], options: VdsoOptions = {}): Buffer {
	const { hash = "sysv", base = 0n, filler = 0x90 } = options;
	const image = Buffer.alloc(8192);
	image.fill(filler, 0x800);
	image.write("\x7fELF\x02\x01\x01", "latin1");
	image.writeUInt16LE(3, 16);
	image.writeUInt16LE(62, 18);
	image.writeBigUInt64LE(0x40n, 32);
	image.writeUInt16LE(64, 52);
	image.writeUInt16LE(56, 54);
	image.writeUInt16LE(2, 56);
	const segment = (at: number, type: number, offset: bigint, size: bigint): void => {
		image.writeUInt32LE(type, at);
		image.writeBigUInt64LE(offset, at + 8);
		image.writeBigUInt64LE(base + offset, at + 16);
		image.writeBigUInt64LE(size, at + 32);
		image.writeBigUInt64LE(size, at + 40);
	};
	segment(0x40, 1, 0n, 8192n);
	segment(0x78, 2, 0x100n, 0x60n);
	const strings = Buffer.from(`\0${functions.map(({ name }) => `${name}\0`).join("")}`);
	const tags: readonly (readonly [bigint, bigint])[] = [
		[hash === "sysv" ? 4n : 0x6ffffef5n, base + 0x600n],
		[5n, base + 0x400n],
		[6n, base + 0x200n],
		[10n, BigInt(strings.length)],
		[0n, 0n],
	];
	for (const [i, [tag, value]] of tags.entries()) {
		image.writeBigUInt64LE(tag, 0x100 + i * 16);
		image.writeBigUInt64LE(value, 0x108 + i * 16);
	}
	strings.copy(image, 0x400);
	let name = 1;
	for (const [i, found] of functions.entries()) {
		const at = 0x200 + (i + 1) * 24;
		image.writeUInt32LE(name, at);
		image[at + 4] = 0x12;
		image.writeUInt16LE(1, at + 6);
		image.writeBigUInt64LE(base + BigInt(found.at), at + 8);
		image.writeBigUInt64LE(BigInt(found.size), at + 16);
		name += found.name.length + 1;
	}
	if (hash === "sysv") {
		image.writeUInt32LE(1, 0x600);
		image.writeUInt32LE(functions.length + 1, 0x604);
		return image;
	}
	// one bucket, symbols from 1, one bloom word, shift; then the bucket, then the chain, whose end is odd
	for (const [i, word] of [1, 1, 1, 0, 0, 0, 1].entries()) image.writeUInt32LE(word, 0x600 + i * 4);
	for (let i = 0; i < functions.length; i++)
		image.writeUInt32LE(i === functions.length - 1 ? 0xbeef : 0xbeee, 0x61c + i * 4);
	return image;
}
