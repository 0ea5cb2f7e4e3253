import { type AddCommand, maxSizeOption, pidOption } from "../command-line.ts";
import type { ShowOptions } from "./options.ts";

export const addShow: AddCommand = (program) => {
	program
		.command("show")
		.usage("PATH [options]")
		.description("say what a core or an image directory holds")
		.argument("<path>", "a core file, compressed or not (- is standard input), or an image directory")
		.option("--json", "as JSON: addresses are hexadecimal strings, `schema` tells the version")
		.addOption(pidOption("--pid <pid>", "which process of an image directory"))
		.addOption(maxSizeOption())
		.option("-v, --verbose", "all registers and all mappings")
		.addHelpText("after", HELP)
		.action(async (path: string, options: Partial<ShowOptions>) => {
			const [{ show }, { openTerminal }] = await Promise.all([import("./run.ts"), import("../terminal.ts")]);
			const { json = false, verbose = false } = options;
			await show(path, { ...options, json, verbose }, openTerminal(process));
		});
};

const HELP = `
  $ necromancer show core.5739                      death, command, threads, mappings, and what it leaves open
  $ necromancer show core.5739 -v                   all registers, all mappings
  $ necromancer show DIR                            process, threads, files, handlers, timers, memory
  $ necromancer show core.5739 --json | jq .death
  $ zstd -dc core.zst | necromancer show -

Nothing of what it shows is executed, and text from it is escaped. Addresses and file offsets are hexadecimal.

Exit status: 0 done, 1 it cannot be read, 2 usage, 3 bad core, 4 bad images.`;
