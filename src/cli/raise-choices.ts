import type { GivenClock } from "../understand/dead-clocks.ts";
import {
	type Command,
	clockOption,
	descriptorOption,
	freshIdsOption,
	limitOption,
	listOption,
	maxSizeOption,
	missingFdsOption,
	Option,
	pidNamespaceOption,
	pidOption,
	renameOption,
} from "./command-line.ts";

/** What decides on the process that is made of a core: of `raise`, and of its plan. */
export interface RaiseChoices {
	/** `-` for standard input. */
	readonly core: string;
	/** A donor's image directory. */
	readonly images?: string;
	readonly donorPid?: number;
	readonly run?: boolean;
	readonly wait?: boolean;
	readonly leaveHandlers?: boolean;
	readonly sysroot?: string;
	readonly mapFile?: ReadonlyMap<string, string>;
	readonly search?: readonly string[];
	readonly allowMismatch?: boolean;
	readonly missingFiles?: "error" | "zeros";
	readonly truncated?: boolean;
	readonly fd?: ReadonlyMap<number, string>;
	readonly tty?: boolean;
	readonly missingFds?: "error" | "null";
	readonly lazy?: boolean;
	/** Bytes. */
	readonly maxSize?: bigint;
	readonly trust?: boolean;
	/** Nanoseconds. */
	readonly clock?: GivenClock;
	readonly limit?: ReadonlyMap<number, bigint>;
	/** `false` for --no-ptrace. */
	readonly ptrace?: boolean;
	readonly pidNamespace?: boolean;
	readonly freshIds?: boolean;
}

export const donorPidOption = (): Option =>
	pidOption("--donor-pid <pid>", "which process of the donor, where it holds several");

export const leaveHandlersOption = (): Option =>
	new Option("--leave-handlers", "out of the handlers that told of the crash, back to where it came");

/** Ids, files, memory, clock, rights and limits, each under its heading. */
export const addRaiseChoices = (command: Command): Command =>
	command
		.optionsGroup("Its ids (its own where they are free and may be chosen, else in a pid namespace, else fresh):")
		.addOption(pidNamespaceOption())
		.addOption(freshIdsOption())
		.optionsGroup("Its files:")
		.option("--sysroot <dir>", "find the mapped files below DIR, as in the dead process's root")
		.addOption(renameOption("--map-file <old=new>", "take NEW for the mapped file OLD (may be repeated)"))
		.addOption(listOption("--search <dir>", "search DIR for mapped files by build-id (may be repeated)"))
		.option("--allow-mismatch", "go on although mapped files are other builds")
		.addOption(
			new Option("--missing-files <policy>", "what becomes of mapped data whose file is gone")
				.choices(["error", "zeros"])
				.default("error"),
		)
		.addOption(descriptorOption("--fd <n=path>", "open PATH as descriptor N (may be repeated)"))
		.option("--tty", "our terminal becomes its descriptors 0, 1 and 2, instead of /dev/null")
		.addOption(missingFdsOption())
		.optionsGroup("Its memory:")
		.addOption(new Option("--eager", "read all of its memory; the core may go then (the default)").conflicts("lazy"))
		.option("--lazy", "map memory from the core instead of reading it: at once, but the core has to stay as it is")
		.option("--truncated", "take a core that was cut short, without what is missing")
		.addOption(maxSizeOption())
		.optionsGroup("Its clock:")
		.addOption(clockOption())
		.optionsGroup("Its rights and limits:")
		.option("--trust", "all rights that the core says it had; otherwise no more than the core's owner has")
		.addOption(limitOption())
		.option("--no-ptrace", "do not trace it: less is checked, and a few pages of ours stay in it");
