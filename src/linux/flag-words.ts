/** The names of a flag word's bits, in the order of `names`; what has no name comes last, in hexadecimal. */
export function flagWords(value: number, names: Readonly<Record<string, number>>): string[] {
	const words: string[] = [];
	let rest = value;
	for (const [name, bits] of Object.entries(names)) {
		if ((rest & bits) !== bits) continue;
		words.push(name);
		rest &= ~bits;
	}
	if (rest !== 0) words.push(`0x${(rest >>> 0).toString(16)}`);
	return words;
}
