/**
 * A build-id as `reg_file_entry` holds it: its bytes as little-endian words, the last one padded with zeros. In hex the
 * padding stays, since nothing tells it from zeros that belong to the id; compare with {@link sameBuildId}.
 */
export const buildIdText = (words: readonly number[]): string => {
	const bytes = Buffer.alloc(words.length * 4);
	for (const [i, word] of words.entries()) bytes.writeUInt32LE(word, i * 4);
	return bytes.toString("hex");
};

/** The inverse of {@link buildIdText} for an id in hex, of any length. */
export const buildIdWords = (hex: string): number[] => {
	const bytes = Buffer.from(padded(hex), "hex");
	return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(i * 4));
};

/** Whether two ids in hex are one, the padding of images aside. */
export const sameBuildId = (a: string, b: string): boolean => padded(a) === padded(b);

const padded = (hex: string): string => hex.padEnd(Math.ceil(hex.length / 8) * 8, "0");
