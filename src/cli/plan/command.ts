import { resolve } from "node:path";
import { defined } from "../../bytes/defined.ts";
import type { ImageLosable } from "../../restore/image-losable.ts";
import {
	type AddCommand,
	addImages,
	type Command,
	clockOption,
	type ImagesOptions,
	imageLossesOption,
	imagesOf,
	pidOption,
} from "../command-line.ts";

interface PlanCommandOptions extends ImagesOptions {
	readonly pid?: number;
	readonly clock?: bigint | "host";
	readonly allowLost?: ReadonlySet<ImageLosable>;
	readonly json?: boolean;
	readonly trust?: boolean;
	readonly verbose?: boolean;
}

export const addPlan: AddCommand = (program) => {
	const command = program
		.command("plan")
		.usage("-i IMGDIR [options]")
		.description("print the system calls that a restore would make, and touch nothing");
	addImages(command, "the images, of CRIU or patched by us")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.option("--trust", "as with restore --trust")
		.addOption(clockOption())
		.addOption(imageLossesOption())
		.option("--json", "as JSON")
		.option("-v, --verbose", "every step")
		.addHelpText("after", HELP)
		.action(async (options: PlanCommandOptions, command: Command) => {
			const [{ planVerb }, { openTerminal }, { measureHost }] = await Promise.all([
				import("./run.ts"),
				import("../terminal.ts"),
				import("../../host/facts.ts"),
			]);
			const { json = false, verbose = false, trust = false, pid, clock, allowLost } = options;
			// absolute, as a restore opens page files
			const images = resolve(imagesOf(options, command));
			const verb = {
				images,
				json,
				verbose,
				trust,
				...defined({ pid, clock, allowLost }),
			};
			await planVerb(verb, openTerminal(process), () => measureHost());
		});
};

const HELP = `
  $ necromancer plan -i DIR                         the stages of a restore; steps that are alike are folded
  $ necromancer plan -i DIR -v                      every step, with its arguments as strace prints them
  $ necromancer plan -i DIR --json | jq '.lists[] | .name, (.steps | length)'

Each step is one system call, with its reason. Steps are numbered as in the messages of restore, and as
NECROMANCER_FAIL_STEP counts. It is the plan for this host: its vdso, its processor, what it allows.

Exit status: 0 done, 2 usage, 4 bad images, 6 the process held something that cannot be restored here.`;
