import type { Message } from "./image-reader.ts";

/** Which fields of a message are messages themselves, and theirs. */
export interface Nesting {
	readonly [field: number]: Nesting;
}

/** A message as lines `2.3.7=8064`, in the order of the wire; bytes in hex. */
export const flat = (message: Message, nesting: Nesting, path = ""): string[] => {
	const seen = new Map<number, number>();
	return message.fields.flatMap((field) => {
		const index = seen.get(field) ?? 0;
		seen.set(field, index + 1);
		const inner = nesting[field];
		const name = `${path}${field}`;
		if (inner !== undefined) {
			const nested = message.messages(field)[index];
			return nested === undefined ? [] : [name, ...flat(nested, inner, `${name}.`)];
		}
		const value = message.values(field)[index];
		return [`${name}=${typeof value === "bigint" ? value : Buffer.from(value ?? []).toString("hex")}`];
	});
};

/** Field numbers of core_entry that are messages (criu-4.2, images/core.proto and what it imports). */
export const CORE_NESTING: Nesting = {
	2: { 2: {}, 3: { 13: { 9: {} } } },
	3: { 7: { 1: {}, 2: {}, 3: {}, 4: {} }, 8: { 1: {} }, 10: { 1: {} }, 15: {} },
	5: { 7: {}, 9: { 1: {} }, 10: {}, 15: {} },
};

/** What the first list has beyond the second, each line as often as it has it more often; by field only, once each. */
export function fieldsBeyond(first: readonly string[], second: readonly string[]): string[] {
	const left = new Map<string, number>();
	for (const line of second) left.set(line, (left.get(line) ?? 0) + 1);
	const beyond = first.filter((line) => {
		const count = left.get(line) ?? 0;
		left.set(line, count - 1);
		return count <= 0;
	});
	return [...new Set(beyond.map((line) => line.replace(/=.*/, "")))].sort();
}
