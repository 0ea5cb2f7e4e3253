import { type Command, InvalidArgumentError, Option } from "commander";
import { limitNames, NO_LIMIT } from "../linux/resource.ts";
import { imageLosable } from "../restore/image-losable.ts";

export { Command, CommanderError, InvalidArgumentError, Option } from "commander";

/** Adds a verb to the program. A verb's modules are loaded when it runs, so that the others start fast. */
export type AddCommand = (program: Command, end: (status: number) => void) => void;

/** `--pid 5739`: a process id. */
export const pidOption = (flags: string, text: string): Option => new Option(flags, text).argParser(pidOf);

/** Which process of a donor a core belongs to. */
export interface DonorChoice {
	/** As it was given; absent where there is one. */
	readonly core?: string;
	readonly pid: number;
}

/** `--donor-pid 5739`, or of several cores `--donor-pid core.1=5739`, gathered into a list. */
export const donorChoiceOption = (): Option =>
	new Option(
		"--donor-pid <pid>",
		"which process of the donor, where it holds several that may have been it; of several cores CORE=PID (may be repeated)",
	).argParser((text: string, before: readonly DonorChoice[] = []) => {
		const at = text.lastIndexOf("=");
		const choice = { pid: pidOf(text.slice(at + 1)), ...(at > 0 ? { core: text.slice(0, at) } : {}) };
		return [...before, choice];
	});

/** `--fd 5=/tmp/log`, gathered into a map. */
export const descriptorOption = (flags: string, text: string): Option =>
	new Option(flags, text).argParser(descriptorOf);

/** Both ways to do without free ids; they exclude each other. */
export const pidNamespaceOption = (): Option =>
	new Option("--pid-namespace", "with its ids in a pid namespace of its own, where they are free").conflicts(
		"freshIds",
	);

export const freshIdsOption = (): Option =>
	new Option("--fresh-ids", "with whatever process and thread ids are free: needs no privilege").conflicts(
		"pidNamespace",
	);

/** `--clock 7447.5`, `--clock host`. */
export const clockOption = (): Option =>
	new Option(
		"--clock <seconds>",
		"what CLOCK_MONOTONIC is to show; host: what it shows here (without it: what it was, as far as that can be known)",
	).argParser(clockOf);

/** `--map-file /old=/new`, gathered into a map. */
export const renameOption = (flags: string, text: string): Option => new Option(flags, text).argParser(renameOf);

/** `--search DIR`, gathered into a list. */
export const listOption = (flags: string, text: string): Option =>
	new Option(flags, text).argParser((value: string, before: readonly string[] = []) => [...before, value]);

/** `--max-size 64G`: bytes. */
export const sizeOption = (flags: string, text: string): Option => new Option(flags, text).argParser(sizeOf);

/** How far a compressed core may go. */
export const maxSizeOption = (): Option =>
	sizeOption(
		"--max-size <size>",
		"the most a compressed core may unpack to (64 times its size, at least 1G and at most 64G)",
	);

/** They are kept without it: for those who are used to criu's. */
export const fileLocksOption = (): Option => new Option("--file-locks").hideHelp();

/** What becomes of descriptors that cannot be opened. */
export const missingFdsOption = (): Option =>
	new Option("--missing-fds <policy>", "what becomes of descriptors that cannot be opened")
		.choices(["error", "null"])
		.default("error");

/** `--allow-lost net,uts` where images are used, gathered into a set. */
export const imageLossesOption = (): Option =>
	new Option(
		"--allow-lost <what>",
		`what may be lost that CRIU's images can have, and we do not make: ${Object.keys(imageLosable).join(", ")}, or all`,
	).argParser(namesOf(imageLosable));

/** Names of a table, separated by commas or given one after the other, or all of them. */
export const namesOf =
	<T extends object>(table: T) =>
	(text: string, before: ReadonlySet<keyof T> = new Set()): ReadonlySet<keyof T> => {
		const names = text === "all" ? Object.keys(table) : text.split(",");
		for (const name of names)
			if (!Object.hasOwn(table, name))
				throw new InvalidArgumentError(`expected some of ${Object.keys(table).join(", ")}, not "${name}".`);
		return new Set([...before, ...(names as (keyof T)[])]);
	};

/** `--limit core=unlimited`, gathered into a map. */
export const limitOption = (): Option =>
	new Option(
		"--limit <name=value>",
		"a soft limit, by its name in prlimit(1): a number, or unlimited (core is 0 unless named; may be repeated)",
	).argParser(limitOf);

/** Where images lie, by either name. */
export interface ImagesOptions {
	readonly images?: string;
	readonly imagesDir?: string;
}

/** `-i DIR`, or `-D DIR` as CRIU has it. */
export const addImages = (command: Command, text: string): Command =>
	command
		.option("-i, --images <dir>", text)
		.option("-D, --images-dir <dir>", "the same: -i by the name that CRIU gives it");

/** The directory that was named; ends the command where none was, or two. */
export function imagesOf({ images, imagesDir }: ImagesOptions, command: Command): string {
	if (images !== undefined && imagesDir !== undefined && images !== imagesDir)
		return command.error("error: -i and -D name two directories");
	return images ?? imagesDir ?? command.error("error: required option '-i, --images <dir>' not specified");
}

const LEVELS = ["0", "1", "2", "3", "4"] as const;

/** `-v`, and what CRIU's users write: `-vv`, `-v4`. Each digit is an option of its own that nobody is told of. */
export function addVerbosity(command: Command, text: string): Command {
	command.option("-v, --verbose", text, (_: string, before: number) => before + 1, 0);
	for (const level of LEVELS) command.addOption(new Option(`-${level}`).hideHelp());
	return command;
}

/** How much to say: 0 is errors only, `undefined` the usual. */
export function verbosityOf(options: Readonly<Record<string, unknown>>): number | undefined {
	const count = Number(options["verbose"] ?? 0);
	if (count === 0) return undefined;
	const level = LEVELS.find((candidate) => options[candidate] === true);
	return level === undefined ? count : Number(level);
}

function pidOf(text: string): number {
	const pid = Number(text);
	if (!Number.isInteger(pid) || pid <= 0) throw new InvalidArgumentError(`expected a process id, not "${text}".`);
	return pid;
}

/** The kernel itself takes no number above 2^20 (sysctl_nr_open). */
function descriptorOf(text: string, before: ReadonlyMap<number, string> = new Map()): ReadonlyMap<number, string> {
	const [, number, path] = /^(\d{1,7})=(.+)$/s.exec(text) ?? [];
	if (number === undefined || path === undefined || Number(number) >= 1 << 20)
		throw new InvalidArgumentError(`expected N=PATH with a descriptor below 1048576, not "${text}".`);
	return new Map([...before, [Number(number), path]]);
}

function clockOf(text: string): bigint | "host" {
	if (text === "host") return text;
	const [, seconds, fraction = ""] = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
	if (seconds === undefined || BigInt(seconds) >= MOST_SECONDS)
		throw new InvalidArgumentError(`expected seconds below ${MOST_SECONDS}, or host, not "${text}".`);
	return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** What the kernel takes for a clock (KTIME_SEC_MAX / 2, include/linux/ktime.h). */
const MOST_SECONDS = 4_611_686_018n;

function renameOf(text: string, before: ReadonlyMap<string, string> = new Map()): ReadonlyMap<string, string> {
	const [, old, path] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
	if (old === undefined || path === undefined)
		throw new InvalidArgumentError(`expected OLD=NEW with two paths, not "${text}".`);
	return new Map([...before, [old, path]]);
}

const namesOfLimits: readonly string[] = limitNames;

function limitOf(text: string, before: ReadonlyMap<number, bigint> = new Map()): ReadonlyMap<number, bigint> {
	const [, name = "", value = ""] = /^([a-z]+)=(\d{1,19}|unlimited)$/i.exec(text) ?? [];
	const number = namesOfLimits.indexOf(name.toUpperCase());
	if (number < 0)
		throw new InvalidArgumentError(`expected NAME=NUMBER or NAME=unlimited with a limit such as core, not "${text}".`);
	return new Map([...before, [number, value.toLowerCase() === "unlimited" ? NO_LIMIT : BigInt(value)]]);
}

const UNITS: Readonly<Record<string, bigint>> = { "": 1n, K: 1n << 10n, M: 1n << 20n, G: 1n << 30n, T: 1n << 40n };

function sizeOf(text: string): bigint {
	const [, digits, unit] = /^(\d{1,15})([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
	const factor = unit === undefined ? undefined : UNITS[unit.toUpperCase()];
	if (digits === undefined || factor === undefined)
		throw new InvalidArgumentError(`expected a size such as 512M or 64G, not "${text}".`);
	return BigInt(digits) * factor;
}
