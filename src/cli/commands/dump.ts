import { type AddCommand, type Command, Option, pidOption } from "../command-line.ts";
import type { DumpVerb } from "../dump.ts";

export const addDump: AddCommand = (program) => {
	program
		.command("dump")
		.description("write the images of a living process; no CRIU is needed")
		.addOption(pidOption("-t, --tree <pid>", "the process").makeOptionMandatory())
		.option("-i, --images <dir>", "where to write: a directory that is empty or not there")
		.addOption(new Option("-D, --images-dir <dir>", "the same, as criu has it").hideHelp())
		.option("-R, --leave-running", "let it go on; otherwise it is ended when its images are complete")
		.option("-s, --leave-stopped", "leave it stopped")
		.option("--no-pages", "without its memory: a donor for a core, in milliseconds")
		.addOption(
			new Option("--missing-fds <policy>", "what becomes of descriptors that cannot be dumped, such as sockets")
				.choices(["error", "null", "skip"])
				.default("error"),
		)
		.option("--sync", "wait until the images are on the disk before it is ended")
		.option("--json", "print the outcome as JSON")
		.option("-q, --quiet", "print nothing but errors")
		.option("-v, --verbose", "print every finding, also the harmless ones")
		.action(async (options: Omit<DumpVerb, "images"> & { images?: string; imagesDir?: string }, command: Command) => {
			const images = options.images ?? options.imagesDir;
			if (images === undefined) return command.error("error: -i IMGDIR is missing");
			const { dumpVerb } = await import("../dump.ts");
			await dumpVerb({ ...options, images });
		});
};
