/** Text of a JSON value. Terminal control characters are escaped as in JSON strings. */
export const jsonText = (value: unknown): string => `${withoutControls(JSON.stringify(value, null, "\t"))}\n`;

/** JSON without characters that a terminal obeys or hides. */
export const withoutControls = (json: string): string =>
	json.replace(/[\u007f-\u009f\p{Cf}\u2028\u2029]/gu, (character) =>
		Array.from({ length: character.length }, (_, i) => unitEscape(character.charCodeAt(i))).join(""),
	);

const unitEscape = (unit: number): string => `\\u${unit.toString(16).padStart(4, "0")}`;

export const SCHEMA = 1;
