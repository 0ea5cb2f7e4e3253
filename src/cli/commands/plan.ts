import { type AddCommand, pidOption } from "../command-line.ts";

export const addPlan: AddCommand = (program) => {
	program
		.command("plan")
		.description("print the system calls that a restore would make, and touch nothing")
		.requiredOption("-i, --images <dir>", "the images, of CRIU or patched by us")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.option("--json", "as JSON")
		.option("-v, --verbose", "every step")
		.action(async (options: { images: string; pid?: number; json?: boolean; verbose?: boolean }) => {
			const [{ planVerb }, { openTerminal }, { measureHost }] = await Promise.all([
				import("../plan.ts"),
				import("../terminal.ts"),
				import("../../host/facts.ts"),
			]);
			const { json = false, verbose = false, ...rest } = options;
			await planVerb({ ...rest, json, verbose }, openTerminal(process), () => measureHost());
		});
};
