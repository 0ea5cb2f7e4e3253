import { isUtf8 } from "node:buffer";

/**
 * Linux names (paths, thread names, cgroups) are bytes, nearly always UTF-8 but never promised to be. Here they become
 * ordinary strings where they are UTF-8; each byte that is not becomes the lone surrogate U+DC00 + byte, which no valid
 * text contains. So every name survives a round trip byte for byte (the scheme of Python's PEP 383).
 */
export function textFromBytes(bytes: Uint8Array): string {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (isUtf8(buffer)) return buffer.toString("utf8");
	const parts: string[] = [];
	for (let at = 0; at < buffer.length; ) {
		const character = buffer.subarray(at, at + sequenceLength(buffer[at] ?? 0));
		if (isUtf8(character)) parts.push(character.toString("utf8"));
		else parts.push(String.fromCharCode(0xdc00 + (buffer[at] ?? 0)));
		at += isUtf8(character) ? character.length : 1;
	}
	return parts.join("");
}

/**
 * The bytes that {@link textFromBytes} made into `text`.
 *
 * @throws RangeError when `text` holds a lone surrogate that stands for no byte.
 */
export function bytesFromText(text: string): Uint8Array {
	if (!loneSurrogate.test(text)) return new Uint8Array(Buffer.from(text, "utf8"));
	const parts: Uint8Array[] = [];
	for (const character of text) {
		const code = character.charCodeAt(0);
		if (!loneSurrogate.test(character)) parts.push(Buffer.from(character, "utf8"));
		else if (code >= 0xdc80 && code <= 0xdcff) parts.push(Uint8Array.of(code - 0xdc00));
		else throw new RangeError(`U+${code.toString(16).toUpperCase()} stands for no byte`);
	}
	return new Uint8Array(Buffer.concat(parts));
}

/** The same with a NUL behind them, as system calls take them. */
export const zeroEnded = (text: string): Uint8Array => Buffer.concat([bytesFromText(text), Buffer.of(0)]);

/** Strings that a NUL ends each; the last may lack its own. */
export function textsFromBytes(bytes: Buffer): string[] {
	const found: string[] = [];
	for (let at = 0; at < bytes.length; ) {
		const nul = bytes.indexOf(0, at);
		const end = nul < 0 ? bytes.length : nul;
		found.push(textFromBytes(bytes.subarray(at, end)));
		at = end + 1;
	}
	return found;
}

const loneSurrogate = /\p{Surrogate}/u;

const sequenceLength = (lead: number): number => (lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);
