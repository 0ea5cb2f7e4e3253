import { withoutControls } from "../json-text.ts";

/** A list of a JSON value whose items are made one at a time, when they are written. */
export interface Each {
	[Symbol.iterator](): Iterator<unknown>;
	readonly [mark]: true;
}

const mark = Symbol("items are made when they are written");

/** The JSON of a list that may be long: what is made of an item is gone when the next one's turn comes. */
export const each = <T>(items: readonly T[], json: (item: T) => unknown): Each => ({
	*[Symbol.iterator]() {
		for (const item of items) yield json(item);
	},
	[mark]: true,
});

/** About so many characters are handed on at once. */
const PIECE = 1 << 16;

/** The text that `jsonText` makes, in pieces. Only objects and {@link each} are taken apart. */
export function* jsonPieces(value: unknown): Generator<string, void, undefined> {
	let held = "";
	for (const part of parts(value, "\n")) {
		held += part;
		if (held.length < PIECE) continue;
		yield held;
		held = "";
	}
	yield `${held}\n`;
}

/** `line`: a line break and the indentation of what is around the value. */
function* parts(value: unknown, line: string): Generator<string, void, undefined> {
	if (isEach(value)) yield* list(value, line);
	else if (isPlain(value)) yield* object(value, line);
	else yield plain(value, line);
}

function* object(value: Readonly<Record<string, unknown>>, line: string): Generator<string, void, undefined> {
	let before = "{";
	for (const [key, item] of Object.entries(value)) {
		if (item === undefined) continue;
		yield `${before}${line}\t${plain(key, "")}: `;
		yield* parts(item, `${line}\t`);
		before = ",";
	}
	yield before === "{" ? "{}" : `${line}}`;
}

function* list(value: Each, line: string): Generator<string, void, undefined> {
	let before = "[";
	for (const item of value) {
		yield `${before}${line}\t`;
		// taking every small object apart would cost more than it saves
		if (holdsEach(item)) yield* parts(item, `${line}\t`);
		else yield plain(item, `${line}\t`);
		before = ",";
	}
	yield before === "[" ? "[]" : `${line}]`;
}

const plain = (value: unknown, line: string): string =>
	withoutControls(JSON.stringify(value, null, "\t")).replaceAll("\n", line);

const isEach = (value: unknown): value is Each => typeof value === "object" && value !== null && mark in value;

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === "object" && value !== null && !Array.isArray(value) && !isEach(value);

const holdsEach = (value: unknown): boolean => isPlain(value) && Object.values(value).some(isEach);
