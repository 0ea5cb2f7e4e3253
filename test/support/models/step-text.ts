import type { Arg, Place } from "../../../src/program/args.ts";
import type { Step } from "../../../src/program/program.ts";

/** A step on one line: `openat(-100, "/log", 0x8401) = 3`. Names are read from their data; other data by their names. */
export function stepText({ call, args, expect }: Step): string {
	return `${call}(${args.map(argText).join(", ")})${expectText(expect)}`;
}

function argText(arg: Arg): string {
	if (typeof arg === "bigint") return arg > 1000n ? `0x${arg.toString(16)}` : `${arg}`;
	if ("list" in arg) return arg.list;
	if ("input" in arg) return `${arg.input.number}<${arg.input.name}>`;
	if (!("datum" in arg)) return `*<${arg.valueOf.datum.name}>${offsetText(arg.valueOf)}`;
	const { name, bytes, size } = arg.datum;
	const isText = size === bytes.length + 1 && bytes.every((byte) => byte >= 32);
	if (isText) return JSON.stringify(Buffer.from(bytes).toString());
	return bytes.length === 0 ? `<${name}>` : `[${Buffer.from(bytes).toString("hex")}]`;
}

const offsetText = ({ offset = 0 }: Place): string => (offset === 0 ? "" : `+${offset}`);

function expectText(expect: Step["expect"]): string {
	if (expect === "success") return "";
	if (typeof expect === "string") return ` ${expect}`;
	return "exactly" in expect ? ` = ${expect.exactly}` : ` or error ${expect.successOr}`;
}
