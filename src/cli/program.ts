import { readFileSync } from "node:fs";
import { errorTable } from "../errors.ts";
import { Command, CommanderError, type ImagesOptions, imagesOf, pidOption } from "./command-line.ts";
import { addCheck } from "./commands/check.ts";
import { addDump } from "./commands/dump.ts";
import { addPlan } from "./commands/plan.ts";
import { addRaise } from "./commands/raise.ts";
import { addRestore } from "./commands/restore.ts";
import { addShow } from "./commands/show.ts";
import type { PatchVerb } from "./patch.ts";

const version = (): string => {
	const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	return typeof manifest === "object" && manifest !== null && "version" in manifest
		? String(manifest.version)
		: "unknown";
};

/**
 * Runs one command line and gives its exit status. Verbs load their modules when they run, so that the others start fast.
 *
 * @throws what a verb throws; see failure.ts.
 */
export async function run(args: readonly string[]): Promise<number> {
	let status = 0;
	const program = new Command("necromancer")
		.description("Bring a dead Linux process back to life from its core dump.")
		.version(version(), "-V, --version")
		.usage(
			"-c CORE -i IMGDIR [options]\n       necromancer restore -i IMGDIR [options]\n       necromancer show PATH [options]",
		)
		.exitOverride()
		.enablePositionalOptions()
		.configureOutput({ outputError: (text, write) => write(usageText(text, verbIn(program, args))) })
		.configureHelp({ showGlobalOptions: false })
		.option("-c, --core <file>", "the core of the dead process (the kernel's or gdb's)")
		.option("-i, --images <dir>", "CRIU images of a donor: the same program, dumped alive; patched in place")
		.option("-D, --images-dir <dir>", "the same: -i by the name that CRIU gives it")
		.option("-o, --output <dir>", "write the patched images here instead and leave the donor alone")
		.option("--check", "report findings and write nothing")
		.addOption(pidOption("--donor-pid <pid>", "which process of the donor, where it holds several"))
		.option("--allow-mismatch", "go on although a library of the donor is another build")
		.option("--sync", "also survive a power failure: flush every file before the switch")
		.option("--json", "print task and findings as JSON")
		.option("-q, --quiet", "print nothing but errors")
		.option("-v, --verbose", "print every finding, also the harmless ones")
		.addHelpText("after", HELP)
		.action(async (options: Partial<PatchVerb> & ImagesOptions, command: Command) => {
			const { core, imagesDir } = options;
			const images = options.images === undefined && imagesDir === undefined ? undefined : imagesOf(options, command);
			if (core === undefined || images === undefined)
				return command.error(`error: ${core === undefined ? "-c CORE" : "-i IMGDIR"} is missing`);
			const { patchVerb } = await import("./patch.ts");
			await patchVerb({ ...options, core, images });
		});
	for (const add of [addRaise, addDump, addShow, addRestore, addPlan, addCheck])
		add(program, (ended) => {
			status = ended;
		});
	try {
		await program.parseAsync(args, { from: "user" });
		return status;
	} catch (error) {
		if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : errorTable.ERR_USAGE.exit;
		throw error;
	}
}

/** The verb of a command line, and a space; nothing where it has none. */
const verbIn = ({ commands }: Command, [first]: readonly string[]): string =>
	commands.some((command) => command.name() === first) ? `${first} ` : "";

/** Commander's own wording in the shape of our other refusals. */
const usageText = (text: string, verb: string): string =>
	`necromancer: ${text
		.trim()
		.replace(/^error: /, "")
		.replace(/^option '(?:-\w, )?(--[\w-]+)[^']*' argument '.*?' is invalid\. (?=expected )/s, "$1: ")
		.replace(
			/^option '(?:-\w, )?(--[\w-]+)[^']*' argument '(.*?)' is invalid\. Allowed choices are (.*)\.$/s,
			'$1: expected one of $3, not "$2"',
		)
		.replaceAll("\n", " ")
		.replace(/\.$/, "")}; see necromancer ${verb}--help [ERR_USAGE]\n`;

const HELP = `
A core holds a process's memory and registers; it knows nothing of open files, signal handlers, timers and limits. A donor
does: the same program, dumped alive.

  $ necromancer dump -t 5739 -i IMGDIR -R  dump a living process, and let it go on (criu dump does as well)
  $ necromancer -c core.5739 -i IMGDIR     rewrite the donor into the dead process
  $ necromancer restore -i IMGDIR -d       and it lives again (criu restore -d -D IMGDIR does the same)

  $ necromancer -c core.5739 -i IMGDIR --check        what would be done, and what cannot be known
  $ necromancer -c core.5739 -i IMGDIR -o PATCHED     keep the donor
  $ necromancer show core.5739                        look at a core
  $ necromancer show IMGDIR                           look at images
  $ necromancer plan -i IMGDIR                        every system call of a restore, and why
  $ necromancer check                                 what this host can do

In place, the directory is at every moment the donor or the whole result; killed in between, the next run finishes or undoes.
Exit status: 0 done, 1 failure, 2 usage, 3 bad core, 4 bad or unfitting images, 5 binaries or files
differ or are missing, 6 this host cannot, 7 the restore failed and was undone.`;
