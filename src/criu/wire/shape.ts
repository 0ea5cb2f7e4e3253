import { type Messages, schema } from "./generated/schema.ts";

export type MessageName = keyof Messages;

const scalars = [
	"int32",
	"uint32",
	"sint32",
	"int64",
	"uint64",
	"sint64",
	"fixed64",
	"bool",
	"string",
	"bytes",
] as const;

export type Scalar = (typeof scalars)[number];

/** One field, ready for the codec. An enum is an int32: the wire does not tell them apart, and new values must survive. */
export interface FieldShape {
	readonly name: string;
	readonly number: number;
	readonly rule: "required" | "optional" | "repeated";
	readonly type: Scalar | { readonly message: MessageName };
	/** 0 varint, 1 eight bytes, 2 length-delimited. */
	readonly wire: 0 | 1 | 2;
}

export interface MessageShape {
	readonly name: MessageName;
	/** Ascending by number, which is the order on the wire. */
	readonly fields: readonly FieldShape[];
	readonly byNumber: ReadonlyMap<number, FieldShape>;
	/** How many of the fields are repeated. */
	readonly lists: number;
}

const shapes = new Map<MessageName, MessageShape>();

/** The shape of a message, built on first use: start-up pays for none, a patch for a dozen. */
export function shapeOf(name: MessageName): MessageShape {
	const known = shapes.get(name);
	if (known !== undefined) return known;
	const declared = schema.nested[name];
	if (declared === undefined || !("fields" in declared)) throw new RangeError(`${name} is not a message`);
	const fields = Object.entries(declared.fields).map(([field, { type, id, rule }]): FieldShape => {
		const resolved = resolve(type, type in (declared.nested ?? {}));
		return { name: field, number: id, rule: rule ?? "optional", type: resolved, wire: wireOf(resolved) };
	});
	const shape = {
		name,
		fields,
		byNumber: new Map(fields.map((field) => [field.number, field])),
		lists: fields.filter(({ rule }) => rule === "repeated").length,
	};
	shapes.set(name, shape);
	return shape;
}

/** Every message of the schema. */
export const messageNames = (): MessageName[] =>
	Object.entries(schema.nested).flatMap(([name, it]) => ("fields" in it ? [name as MessageName] : []));

const resolve = (type: string, localEnum: boolean): FieldShape["type"] => {
	const scalar = scalars.find((it) => it === type);
	if (scalar !== undefined) return scalar;
	const declared = schema.nested[type];
	return localEnum || (declared !== undefined && "values" in declared) ? "int32" : { message: type as MessageName };
};

const wireOf = (type: FieldShape["type"]): 0 | 1 | 2 => {
	if (type === "fixed64") return 1;
	return typeof type === "object" || type === "string" || type === "bytes" ? 2 : 0;
};
