/**
 * Text from a core, an image or a file system, made safe to print on one line: whatever a terminal would obey or hide
 * becomes a visible escape. Control characters (C0, DEL, C1) and bytes that were no UTF-8 (see bytes/text.ts) as `\x1b`;
 * bidi overrides, other invisible format characters, line separators and stray surrogates as `\u{202e}`. A backslash is
 * doubled, so that no name can pretend to be another one's escape.
 */
export const escapeText = (untrusted: string): string => untrusted.replace(unprintable, escaped);

const unprintable = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

function escaped(character: string): string {
	if (character === "\\") return "\\\\";
	const code = character.codePointAt(0) ?? 0;
	if (code < 0x100) return byteEscape(code);
	return code >= 0xdc80 && code <= 0xdcff ? byteEscape(code - 0xdc00) : `\\u{${code.toString(16)}}`;
}

const byteEscape = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`;
