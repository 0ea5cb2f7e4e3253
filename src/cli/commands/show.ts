import { type AddCommand, pidOption } from "../command-line.ts";

export const addShow: AddCommand = (program) => {
	program
		.command("show")
		.description("say what a core or an image directory holds")
		.argument("<path>", "a core file, compressed or not (- is standard input), or an image directory")
		.option("--json", "as JSON: addresses are hexadecimal strings, `schema` tells the version")
		.addOption(pidOption("--pid <pid>", "which process of an image directory"))
		.option("-v, --verbose", "all registers and all mappings")
		.action(async (path: string, options: { json?: boolean; verbose?: boolean; pid?: number }) => {
			const [{ show }, { openTerminal }] = await Promise.all([import("../show.ts"), import("../terminal.ts")]);
			const { json = false, verbose = false, pid } = options;
			await show(path, { json, verbose, ...(pid === undefined ? {} : { pid }) }, openTerminal(process));
		});
};
