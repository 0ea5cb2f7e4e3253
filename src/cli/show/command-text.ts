import { escapeText } from "../escape-text.ts";

/** Characters of a command line that are shown unasked: `python -c` carries whole programs. */
const MOST = 120;

/** A command line as one could type it: words that need it in quotes, with control characters as bash's `$'\x0a'`. */
export function commandText(argv: readonly string[], whole: boolean): string {
	const text = argv.map(quoted).join(" ");
	const characters = [...text];
	return whole || characters.length <= MOST ? text : `${characters.slice(0, MOST).join("")}… (-v shows all)`;
}

const quoted = (word: string): string => {
	const text = escapeText(word);
	if (/^[\p{L}\p{N}_@%+=:,./~^-]+$/u.test(text)) return text;
	return text === word ? `'${text.replaceAll("'", "'\\''")}'` : `$'${text.replaceAll("'", "\\'")}'`;
};
