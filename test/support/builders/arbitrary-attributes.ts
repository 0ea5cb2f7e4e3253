import fc from "fast-check";
import {
	type Attributes,
	mappingAttributes,
	processAttributes,
	threadAttributes,
} from "../../../src/forest/attributes.ts";

const number = fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: (1n << 32n) - 1n }), fc.constant(1n << 1000n));

/** Any of them, or none; CRIU's images have a place of 32 bits for two, where 0 is as good as nothing. */
const anyOf = <Name extends string>(names: Readonly<Record<Name, string>>) =>
	fc
		.dictionary(fc.constantFrom(...(Object.keys(names) as Name[])), number, { noNullPrototype: true })
		.map((all) =>
			Object.fromEntries(
				Object.entries(all).filter(
					([name, value]) => !["personality", "membarrier"].includes(name) || (value !== 0n && value < 1n << 32n),
				),
			),
		)
		.map((all) => (Object.keys(all).length === 0 ? undefined : (all as Attributes<Name>)));

export const ofThread = anyOf(threadAttributes);
export const ofProcess = anyOf(processAttributes);
export const ofMapping = anyOf(mappingAttributes);
