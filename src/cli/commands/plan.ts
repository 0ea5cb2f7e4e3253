import { resolve } from "node:path";
import { type AddCommand, addImages, type Command, type ImagesOptions, imagesOf, pidOption } from "../command-line.ts";

interface Options extends ImagesOptions {
	readonly pid?: number;
	readonly json?: boolean;
	readonly verbose?: boolean;
}

export const addPlan: AddCommand = (program) => {
	const command = program
		.command("plan")
		.description("print the system calls that a restore would make, and touch nothing");
	addImages(command, "the images, of CRIU or patched by us")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.option("--json", "as JSON")
		.option("-v, --verbose", "every step")
		.action(async (options: Options, command: Command) => {
			const [{ planVerb }, { openTerminal }, { measureHost }] = await Promise.all([
				import("../plan.ts"),
				import("../terminal.ts"),
				import("../../host/facts.ts"),
			]);
			const { json = false, verbose = false, pid } = options;
			// a restore would open page files by their whole names, too
			const images = resolve(imagesOf(options, command));
			const verb = { images, json, verbose, ...(pid === undefined ? {} : { pid }) };
			await planVerb(verb, openTerminal(process), () => measureHost());
		});
};
