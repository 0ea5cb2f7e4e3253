import type { AddCommand } from "../command-line.ts";

export const addCheck: AddCommand = (program) => {
	program
		.command("check")
		.description("probe what this host can do for a restore, and say what is lost without it")
		.option("--json", "as JSON")
		.addHelpText("after", HELP)
		.action(async (options: { json?: boolean }) => {
			const [{ checkVerb }, { openTerminal }] = await Promise.all([import("./run.ts"), import("../terminal.ts")]);
			await checkVerb(options.json === true, openTerminal(process));
		});
};

const HELP = `
  $ necromancer check
  $ necromancer check --json | jq -r '.capabilities[] | select(.ok | not) | .name'

Everything is tried out, by processes made for it, and not concluded from version numbers. Nothing is left behind. What is
missing costs what its line says and no more: an ordinary user lacks much of it, and can raise all the same.

Exit status: 0, whatever is missing; 6 where not even the first process of ours can run.`;
