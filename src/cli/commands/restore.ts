import {
	type AddCommand,
	descriptorOption,
	freshIdsOption,
	missingFdsOption,
	pidNamespaceOption,
	pidOption,
} from "../command-line.ts";
import type { RestoreVerb } from "../restore.ts";

export const addRestore: AddCommand = (program, end) => {
	program
		.command("restore")
		.description("make the process that an image directory describes; no CRIU is needed")
		.requiredOption("-i, --images <dir>", "the images, of CRIU or patched by us")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.option("-d, --detach", "leave it to itself; otherwise its exit status becomes ours")
		.option("-s, --leave-stopped", "leave it stopped, and to itself")
		.addOption(pidNamespaceOption())
		.addOption(freshIdsOption())
		.addOption(descriptorOption("--fd <n=path>", "open PATH as descriptor N (may be repeated)"))
		.addOption(missingFdsOption())
		.option("--pidfile <file>", "write its pid there")
		.option("--no-ptrace", "do not trace it: less is checked, and a few pages of ours stay in it")
		.option("-v, --verbose", "say what is not as it was")
		.action(async (options: RestoreVerb) => {
			const { restoreVerb } = await import("../restore.ts");
			end(await restoreVerb(options));
		});
};
