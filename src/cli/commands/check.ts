import type { AddCommand } from "../command-line.ts";

export const addCheck: AddCommand = (program) => {
	program
		.command("check")
		.description("probe what this host can do for a restore, and say what is lost without it")
		.option("--json", "as JSON")
		.action(async (options: { json?: boolean }) => {
			const [{ checkVerb }, { openTerminal }] = await Promise.all([import("../check.ts"), import("../terminal.ts")]);
			await checkVerb(options.json === true, openTerminal(process));
		});
};
