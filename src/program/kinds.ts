import { hex } from "../bytes/address.ts";
import { textFromBytes } from "../bytes/text.ts";
import { signalName, signalsIn } from "../linux/signal.ts";
import type { Arg, Datum, InputFile, Place } from "./args.ts";
import { matchArg } from "./args.ts";

/** Says one argument; some need the others for it. Text of the dead process is as it was: who prints must escape it. */
export type Spell = (arg: Arg, args: readonly Arg[]) => string;

/** A value that is known, as `words` has it; all else by its name. */
export const known =
	(words: (value: bigint) => string): Spell =>
	(arg) =>
		matchArg(arg, {
			literal: (value) => words(BigInt.asUintN(64, value)),
			address: (place) => `&${nameOf(place)}`,
			value: (place) => nameOf(place),
			list: (name) => `list ${name}`,
			input: inputText,
		});

/** `[go]`, `[stack of 12]+4096`: memory of the plan, by what it is for. */
export const nameOf = ({ datum, offset = 0 }: Place): string => `[${datum.name}]${offset === 0 ? "" : `+${offset}`}`;

/** As strace(1) has it: `70<libc.so.6>`. */
export const inputText = ({ number, name }: InputFile): string => `${number}<${name}>`;

export const literalOf = (arg: Arg | undefined): bigint | undefined =>
	typeof arg === "bigint" ? BigInt.asUintN(64, arg) : undefined;

/** Decimal, with a sign where it is one as a long or, up to 32 bits, as an int. */
export const int: Spell = known((value) => signed(value).toString());

/** Decimal. */
export const count: Spell = known((value) => value.toString());

export const octal: Spell = known((value) => `0${value.toString(8)}`);

export const pointer: Spell = known((value) => (value === 0n ? "NULL" : hex(value)));

export const hexadecimal: Spell = known((value) => (value < 10n ? value.toString() : hex(value)));

const signed = (value: bigint): bigint => {
	const long = BigInt.asIntN(64, value);
	const asInt = BigInt.asIntN(32, value);
	return value >> 32n === 0n && asInt < 0n && asInt > -4096n ? asInt : long;
};

/** Descriptors; the highest possible is all ones. */
export const descriptor: Spell = known((value) =>
	BigInt.asUintN(32, value) === 0xffff_ff9cn ? "AT_FDCWD" : signed(value).toString(),
);

export type Names = Readonly<Record<string, number | bigint>>;

/** One of several numbers with names; others in decimal or, if large, in hexadecimal. */
export function oneOf(names: Names, prefix = ""): Spell {
	const byNumber = new Map(Object.entries(names).map(([name, value]) => [BigInt(value), `${prefix}${name}`]));
	return known((value) => byNumber.get(value) ?? (value < 0x1_0000n ? value.toString() : hex(value)));
}

/** Bits with names, of 64; the rest in hexadecimal, none as `none`. */
export function flags(names: Names, prefix = "", none = "0"): Spell {
	const bits = Object.entries(names).map(([name, value]): [string, bigint] => [`${prefix}${name}`, BigInt(value)]);
	return known((value) => {
		let rest = value;
		const words: string[] = [];
		for (const [name, mask] of bits) {
			if (mask === 0n || (rest & mask) !== mask) continue;
			words.push(name);
			rest &= ~mask;
		}
		return [...words, ...(rest === 0n ? [] : [hex(rest)])].join("|") || none;
	});
}

export const signal: Spell = known((value) => (value === 0n ? "0" : signalName(Number(value))));

/** Says what lies in the plan's memory. */
export type Show = (place: Place) => string;

/** The address of something that is shown in full where its bytes are known. */
export const pointerTo =
	(show: Show): Spell =>
	(arg, args) =>
		matchArg(arg, {
			literal: () => pointer(arg, args),
			address: (place) => (place.datum.bytes.length === 0 ? pointer(arg, args) : show(place)),
			value: () => pointer(arg, args),
			list: () => pointer(arg, args),
			input: () => pointer(arg, args),
		});

/** The bytes at a place, zeros where nothing was said. */
export function bytesAt({ datum, offset = 0 }: Place, length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	bytes.set(datum.bytes.subarray(offset, offset + length));
	return bytes;
}

/** The pointer that lies at so many bytes behind a place. */
export const pointerAt = ({ datum, offset = 0 }: Place, at: number): Place | undefined =>
	datum.pointers.find((candidate) => candidate.at === offset + at)?.to;

/** `"/var/log/x"`: a string that ends with NUL. */
export const text: Spell = pointerTo(({ datum, offset = 0 }) => {
	const rest = datum.bytes.subarray(offset);
	const end = rest.indexOf(0);
	return quoted(end < 0 ? rest : rest.subarray(0, end));
});

/** As in C, but for what is not ASCII. */
const quoted = (bytes: Uint8Array): string => `"${textFromBytes(bytes).replaceAll('"', '\\"')}"`;

/** Bytes are shown up to here. */
const MOST_BYTES = 32;

/** Bytes whose number is another argument: as text if they are such. */
export const buffer =
	(lengthIndex: number): Spell =>
	(arg, args) =>
		pointerTo((place) => {
			const length = Number(literalOf(args[lengthIndex]) ?? 0n);
			const bytes = bytesAt(place, Math.max(0, Math.min(length, MOST_BYTES, roomIn(place))));
			return isText(bytes) ? `${quoted(bytes)}${length > MOST_BYTES ? "…" : ""}` : pointer(place, args);
		})(arg, args);

const isText = (bytes: Uint8Array): boolean =>
	bytes.every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);

const roomIn = ({ datum, offset = 0 }: { readonly datum: Datum; readonly offset?: number }): number =>
	datum.size - offset;

/** `[]`, `[SIGINT SIGTERM]`, `~[SIGHUP]`: the eight bytes of a signal set. */
export const signalSet: Spell = pointerTo((place) => signalSetWords(u64At(place)));

const ALL = (1n << 64n) - 1n;

export function signalSetWords(set: bigint): string {
	const members = signalsIn(set);
	if (members.length <= 32) return `[${members.map(signalName).join(" ")}]`;
	return `~[${signalsIn(~set & ALL)
		.map(signalName)
		.join(" ")}]`;
}

export const u64At = (place: Place): bigint => {
	const bytes = bytesAt(place, 8);
	return new DataView(bytes.buffer).getBigUint64(0, true);
};
