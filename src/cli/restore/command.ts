import { defined } from "../../bytes/defined.ts";
import {
	type AddCommand,
	addImages,
	addVerbosity,
	type Command,
	clockOption,
	descriptorOption,
	fileLocksOption,
	freshIdsOption,
	type ImagesOptions,
	imageLossesOption,
	imagesOf,
	missingFdsOption,
	Option,
	pidNamespaceOption,
	pidOption,
	verbosityOf,
} from "../command-line.ts";
import type { RestoreVerb } from "./run.ts";

interface RestoreCommandOptions extends ImagesOptions, Omit<RestoreVerb, "images" | "verbosity"> {
	readonly restoreSibling?: boolean;
}

export const addRestore: AddCommand = (program, end) => {
	const command = program
		.command("restore")
		.usage("-i IMGDIR [options]")
		.description("make the process that an image directory describes; no CRIU is needed");
	addImages(command, "the images, of CRIU or patched by us")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.optionsGroup("How it is left:")
		.option("-d, --detach", "leave it to itself; otherwise its exit status becomes ours")
		.option("-s, --leave-stopped", "leave it stopped, and to itself")
		.option("--pidfile <file>", "write its pid there")
		.option("--shell-job", "a job of ours: in our session, and on our terminal where it had one of its session's")
		.optionsGroup("Its ids (its own, unless told otherwise):")
		.addOption(pidNamespaceOption())
		.addOption(freshIdsOption())
		.optionsGroup("Its files:")
		.addOption(descriptorOption("--fd <n=path>", "open PATH as descriptor N (may be repeated)"))
		.addOption(missingFdsOption())
		.option("--no-file-locks", "without the locks on files that it held")
		.addOption(fileLocksOption())
		.addOption(imageLossesOption())
		.optionsGroup("Its clock:")
		.addOption(clockOption())
		.optionsGroup("Its rights:")
		.option("--trust", "all rights that the images say it had; otherwise no more than the images' owner has")
		.option("--no-ptrace", "do not trace it: less is checked, and a few pages of ours stay in it")
		.optionsGroup("Output:")
		.option("-o, --log-file <file>", "write there what would go to stderr; errors go to both")
		.addOption(new Option("-S, --restore-sibling").hideHelp());
	addVerbosity(command, "say what is not as it was; -v0 says errors only")
		.addHelpText("after", HELP)
		.action(async (options: RestoreCommandOptions, command: Command) => {
			if (options.restoreSibling === true) command.error(NO_SIBLING);
			const { restoreVerb } = await import("./run.ts");
			const verbosity = verbosityOf(command.opts());
			const images = imagesOf(options, command);
			end(await restoreVerb({ ...options, images, ...defined({ verbosity }) }));
		});
};

/**
 * CRIU makes the process a sibling of itself by clone3(CLONE_PARENT); ours would become a sibling of the agent, a child of
 * ours.
 */
const NO_SIBLING =
	"error: -S is not possible: a helper of ours makes the process, and the kernel gives it to us at most. " +
	"With -d it goes to the nearest subreaper (PR_SET_CHILD_SUBREAPER), which its caller may be";

const HELP = `
  $ necromancer restore -i DIR                      it is our child: its exit status becomes ours
  $ necromancer restore -i DIR -d --pidfile FILE    it is left to itself
  $ necromancer restore -i DIR -s                   stopped, for a debugger
  $ necromancer restore -i DIR --fresh-ids          without privileges
  $ necromancer restore -i DIR --shell-job          on our terminal, as a job in its foreground

It gets the ids that it had, which takes CAP_CHECKPOINT_RESTORE in the pid namespace; --pid-namespace makes it one of its
own, --fresh-ids lets the kernel choose. Files are opened by the names in the images, and have to be as they were. What
cannot be restored is refused by name before anything is made; a step that fails is named, and nothing is left behind.

Exit status: the process's own (128 + n for signal n), with -d and -s 0; 4 bad images, 5 a file is missing or not as it
was, 6 an id is taken, or this host cannot; 7 a step failed and all was undone.

Environment: NECROMANCER_FAIL_STEP=n makes step n fail, by its number in necromancer plan -v.`;
