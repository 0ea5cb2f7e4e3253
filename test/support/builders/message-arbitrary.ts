import fc from "fast-check";
import { schema } from "../../../src/criu/wire/generated/schema.ts";
import { type MessageName, unknownFields } from "../../../src/criu/wire/protobuf.ts";
import { delimited, number } from "../witness/wire.ts";

interface Freedom {
	/** Fields beyond the schema, enum values beyond the declared, strings that are not UTF-8. */
	readonly wild: boolean;
	/** How deep messages may still nest. */
	readonly depth: number;
}

/** Any value of a message, made from the descriptor: each subset of its optional fields, each number at its extremes. */
export function messageOf(name: MessageName, freedom: Freedom): fc.Arbitrary<object> {
	const declared = schema.nested[name];
	if (declared === undefined || !("fields" in declared)) throw new RangeError(name);
	const required: string[] = [];
	const parts: Record<string, fc.Arbitrary<unknown>> = {};
	for (const [field, { type, rule }] of Object.entries(declared.fields)) {
		const enumeration = declared.nested?.[type] ?? schema.nested[type];
		const deep = enumeration !== undefined && "fields" in enumeration;
		if (deep && freedom.depth === 0 && rule !== "required") {
			if (rule === "repeated") parts[field] = fc.constant([]);
			if (rule === "repeated") required.push(field);
			continue;
		}
		const one =
			enumeration === undefined
				? scalarOf(type, freedom)
				: "values" in enumeration
					? freedom.wild
						? int32
						: fc.constantFrom(...Object.values(enumeration.values))
					: messageOf(type as MessageName, { ...freedom, depth: freedom.depth - 1 });
		parts[field] = rule === "repeated" ? fc.array(one, { maxLength: 3 }) : one;
		if (rule !== undefined) required.push(field);
	}
	const known = fc.record(parts, { requiredKeys: required, noNullPrototype: true });
	if (!freedom.wild) return known;
	const highest = Math.max(...Object.values(declared.fields).map(({ id }) => id));
	return fc
		.tuple(known, unknownOf(new Set(Object.values(declared.fields).map(({ id }) => id)), highest))
		.map(([message, unknown]) => (unknown.length === 0 ? message : { ...message, [unknownFields]: unknown }));
}

const extremes = (bits: bigint, signed: boolean): fc.Arbitrary<bigint> => {
	const min = signed ? -(1n << (bits - 1n)) : 0n;
	const max = signed ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
	return fc.oneof(
		fc
			.constantFrom(min, min + 1n, 0n, 1n, 127n, 128n, 1n << 31n, (1n << 32n) - 1n, 1n << 32n, max - 1n, max)
			.filter((it) => it >= min && it <= max),
		fc.bigInt({ min, max }),
	);
};

const int32 = extremes(32n, true).map(Number);

const scalarOf = (type: string, { wild }: Freedom): fc.Arbitrary<unknown> => {
	switch (type) {
		case "uint32":
			return extremes(32n, false).map(Number);
		case "int32":
		case "sint32":
			return int32;
		case "uint64":
		case "fixed64":
			return extremes(64n, false);
		case "int64":
		case "sint64":
			return extremes(64n, true);
		case "bool":
			return fc.boolean();
		case "bytes":
			return fc.uint8Array({ maxLength: 200 });
		case "string":
			return wild ? lossyText : wellFormed;
		default:
			throw new RangeError(type);
	}
};

const wellFormed = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: "binary", maxLength: 20 }));

/** Text as the decoder makes it from any bytes: Latin-1 letters stand for bytes above ASCII as lone surrogates. */
const lossyText = fc.oneof(
	wellFormed,
	fc
		.uint8Array({ min: 0x80, max: 0xbf, maxLength: 9 })
		.map((raw) => String.fromCharCode(...Array.from(raw, (byte) => 0xdc00 + byte))),
);

/** Up to three fields with numbers that the message does not declare, ascending as a canonical writer has them. */
const unknownOf = (taken: ReadonlySet<number>, highest: number): fc.Arbitrary<Uint8Array[]> =>
	fc
		.uniqueArray(
			fc.integer({ min: 1, max: highest + 40 }).filter((it) => !taken.has(it)),
			{ maxLength: 3 },
		)
		.chain((numbers) =>
			fc.tuple(
				...numbers
					.sort((a, b) => a - b)
					.map((id) =>
						fc.oneof(
							fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value) => number(id, value)),
							fc.uint8Array({ maxLength: 40 }).map((value) => delimited(id, [...value])),
						),
					),
			),
		)
		.map((fields) => fields.map((it) => Uint8Array.from(it)));
