import { isUtf8 } from "node:buffer";

/**
 * Paths are bytes to the kernel and strings here. What is valid UTF-8 becomes that text; every other byte becomes the lone
 * surrogate U+DC00 + byte, which valid UTF-8 never yields (the scheme of Python's PEP 383), so that no name is lost and no
 * two names become one.
 */
export function pathFrom(bytes: Uint8Array): string {
	const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (isUtf8(raw)) return raw.toString("utf8");
	const pieces: string[] = [];
	for (let at = 0; at < raw.length; ) {
		const lead = raw[at] ?? 0;
		const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
		const valid = lead < 0x80 || (lead >= 0xc2 && at + length <= raw.length && isUtf8(raw.subarray(at, at + length)));
		pieces.push(valid ? raw.toString("utf8", at, at + length) : String.fromCharCode(0xdc00 + lead));
		at += valid ? length : 1;
	}
	return pieces.join("");
}

/** The bytes that {@link pathFrom} read, for the file system and for images. */
export function pathBytes(path: string): Buffer {
	if (!/[\udc80-\udcff]/.test(path)) return Buffer.from(path, "utf8");
	return Buffer.concat(
		Array.from(path, (character) => {
			const code = character.codePointAt(0) ?? 0;
			return code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(character, "utf8");
		}),
	);
}
