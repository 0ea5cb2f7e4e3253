/**
 * Fields whose numbers the schema does not know, each with its tag, ascending by number. They stay with their
 * message, at every level of nesting, and are written back: `{ ...record, pid }` keeps them.
 */
export const unknownFields: unique symbol = Symbol("unknownFields");

/** What every message may carry besides its declared fields. */
export interface Message {
	readonly [unknownFields]?: readonly Uint8Array[];
}

/** A schema as data: the part of protobufjs' JSON form that ours needs. */
export interface Schema {
	readonly nested: Readonly<Record<string, MessageDescriptor | EnumDescriptor>>;
}

export interface MessageDescriptor {
	readonly fields: Readonly<Record<string, FieldDescriptor>>;
	readonly nested?: Readonly<Record<string, EnumDescriptor>>;
}

export interface FieldDescriptor {
	/** Absent means optional. */
	readonly rule?: "required" | "repeated";
	/** A scalar of protobuf, or the name of a message or enum. */
	readonly type: string;
	readonly id: number;
}

export interface EnumDescriptor {
	readonly values: Readonly<Record<string, number>>;
}
