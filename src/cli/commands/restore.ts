import {
	type AddCommand,
	addImages,
	addVerbosity,
	type Command,
	descriptorOption,
	freshIdsOption,
	type ImagesOptions,
	imagesOf,
	missingFdsOption,
	Option,
	pidNamespaceOption,
	pidOption,
	verbosityOf,
} from "../command-line.ts";
import type { RestoreVerb } from "../restore.ts";

interface Options extends ImagesOptions, Omit<RestoreVerb, "images" | "verbosity"> {
	readonly restoreSibling?: boolean;
}

export const addRestore: AddCommand = (program, end) => {
	const command = program
		.command("restore")
		.description("make the process that an image directory describes; no CRIU is needed");
	addImages(command, "the images, of CRIU or patched by us")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.option("-d, --detach", "leave it to itself; otherwise its exit status becomes ours")
		.option("-s, --leave-stopped", "leave it stopped, and to itself")
		.addOption(pidNamespaceOption())
		.addOption(freshIdsOption())
		.addOption(descriptorOption("--fd <n=path>", "open PATH as descriptor N (may be repeated)"))
		.addOption(missingFdsOption())
		.option("--pidfile <file>", "write its pid there")
		.option("-o, --log-file <file>", "write there what would go to stderr; errors go to both")
		.option("--no-ptrace", "do not trace it: less is checked, and a few pages of ours stay in it")
		.addOption(new Option("-S, --restore-sibling").hideHelp());
	addVerbosity(command, "say what is not as it was; -v0 says errors only").action(
		async (options: Options, command: Command) => {
			if (options.restoreSibling === true) command.error(NO_SIBLING);
			const { restoreVerb } = await import("../restore.ts");
			const verbosity = verbosityOf(command.opts());
			const images = imagesOf(options, command);
			end(await restoreVerb({ ...options, images, ...(verbosity === undefined ? {} : { verbosity }) }));
		},
	);
};

/** folklore: CRIU is a child of its caller, and clone3(CLONE_PARENT) makes it a sibling. We act through a helper of our own. */
const NO_SIBLING =
	"error: -S is not possible: a helper of ours makes the process, and the kernel gives it to us at most. " +
	"With -d it goes to the nearest subreaper (PR_SET_CHILD_SUBREAPER), which its caller may be";
