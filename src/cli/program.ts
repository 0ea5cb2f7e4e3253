import { readFileSync } from "node:fs";
import { errorTable } from "../errors.ts";
import { addCheck } from "./check/command.ts";
import {
	Command,
	CommanderError,
	clockOption,
	type DonorChoice,
	donorChoiceOption,
	type ImagesOptions,
	imagesOf,
	limitOption,
	listOption,
	maxSizeOption,
} from "./command-line.ts";
import { addDump } from "./dump/command.ts";
import { escapeText } from "./escape-text.ts";
import type { PatchVerb } from "./patch/run.ts";
import { addPlan } from "./plan/command.ts";
import { addRaise } from "./raise/command.ts";
import { addRestore } from "./restore/command.ts";
import { addShow } from "./show/command.ts";

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
		.usage("VERB [options]\n       necromancer VERB --help\n       necromancer -c CORE -i IMGDIR [options]")
		.exitOverride()
		.enablePositionalOptions()
		.configureOutput({ outputError: (text, write) => write(usageText(text, verbIn(program, args))) })
		.configureHelp({ showGlobalOptions: false, subcommandTerm: (verb) => verb.name() })
		.optionsGroup("Without a verb:")
		.addOption(
			listOption(
				"-c, --core <file>",
				"the core of the dead process (the kernel's or gdb's); of each that died, where the donor is a tree (may be repeated)",
			),
		)
		.option("-i, --images <dir>", "CRIU images of a donor: the same program, dumped alive; patched in place")
		.option("-D, --images-dir <dir>", "the same: -i by the name that CRIU gives it")
		.option("-o, --output <dir>", "write the patched images here instead and leave the donor alone")
		.option("--check", "report findings and write nothing")
		.addOption(donorChoiceOption())
		.option("--allow-mismatch", "go on although a library of the donor is another build")
		.addOption(limitOption())
		.addOption(clockOption())
		.addOption(maxSizeOption())
		.option("--trust", "write all rights that core and donor say; otherwise no more than those who wrote them have")
		.option("--sync", "also survive a power failure: flush every file before the switch")
		.option("--json", "print task and findings as JSON")
		.option("-q, --quiet", "print nothing but errors")
		.option("-v, --verbose", "print every finding, also the harmless ones")
		.addHelpText("after", HELP)
		.action(
			async (options: Partial<PatchVerb> & ImagesOptions & { readonly core?: readonly string[] }, command: Command) => {
				const { core: cores, imagesDir } = options;
				const images = options.images === undefined && imagesDir === undefined ? undefined : imagesOf(options, command);
				if (cores === undefined || images === undefined)
					return command.error(`error: ${cores === undefined ? "-c CORE" : "-i IMGDIR"} is missing`);
				const wrong = wrongChoice(cores, options.donorPid ?? []);
				if (wrong !== undefined) return command.error(`error: ${wrong}`);
				const { patchVerb } = await import("./patch/run.ts");
				await patchVerb({ ...options, cores, images });
			},
		);
	for (const add of [addRaise, addDump, addRestore, addShow, addPlan, addCheck])
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

/** What is wrong about which process of the donor each core is. */
function wrongChoice(cores: readonly string[], choices: readonly DonorChoice[]): string | undefined {
	const twice = cores.find((core, i) => cores.indexOf(core) !== i);
	if (twice !== undefined) return `-c ${twice} is given twice`;
	for (const { core, pid } of choices) {
		if (core === undefined && cores.length > 1)
			return `--donor-pid ${pid}: there are ${cores.length} cores, say CORE=${pid}`;
		if (core !== undefined && !cores.includes(core)) return `--donor-pid ${core}=${pid}: there is no -c ${core}`;
	}
	return choices.length > new Set(choices.map(({ core }) => core ?? cores[0])).size
		? "--donor-pid is given twice for one core"
		: undefined;
}

/** The verb of a command line, and a space; nothing where it has none. */
const verbIn = ({ commands }: Command, [first]: readonly string[]): string =>
	commands.some((command) => command.name() === first) ? `${first} ` : "";

/** Commander's own wording in the shape of our other refusals. */
const usageText = (text: string, verb: string): string =>
	`necromancer: ${escapeText(
		text
			.trim()
			.replace(/^error: /, "")
			.replace(/^option '(?:-\w, )?(--[\w-]+)[^']*' argument '.*?' is invalid\. (?=expected )/s, "$1: ")
			.replace(
				/^option '(?:-\w, )?(--[\w-]+)[^']*' argument '(.*?)' is invalid\. Allowed choices are (.*)\.$/s,
				'$1: expected one of $3, not "$2"',
			)
			.replaceAll("\n", " ")
			.replace(/\.$/, ""),
	)}; see necromancer ${verb}--help [ERR_USAGE]\n`;

const HELP = `
From a core to a living process:
  $ necromancer show core.5739                        how it died, and where its threads were
  $ necromancer raise core.5739                       it lives again, stopped
  $ necromancer raise core.5739 --gdb                 call its functions, save what it held
  $ necromancer raise core.5739 --run                 it goes on

A core holds memory and registers; it knows nothing of open files, signal handlers, timers and limits. A donor does: the same
program, dumped alive. Its addresses need not match.
  $ necromancer dump -t PID -i DONOR -R --no-pages    once, while it is well; it runs on
  $ necromancer raise core.5739 -i DONOR --run        with the donor's files, handlers and timers

As images, for another time or for criu restore (-c and -i without a verb rewrite the donor into the dead process):
  $ necromancer -c core.5739 -i IMGDIR --check        what would be done, and what cannot be known
  $ necromancer -c core.5739 -i IMGDIR                in place; -o PATCHED leaves the donor alone
  $ necromancer -c core.12 -c core.14 -i IMGDIR       of a tree of processes two that died; the others as the donor had them
  $ necromancer restore -i IMGDIR -d                  it lives again (criu restore -d -D IMGDIR does the same)

A living process, from here to there:
  $ necromancer dump -t PID -i IMGDIR                 to images, as criu dump writes them; it is ended
  $ necromancer restore -i IMGDIR -d                  and goes on

In place, the directory is at every moment the donor or the whole result; killed in between, the next run finishes or undoes.

Exit status:
  0  done                       4  bad images, or of another program
  1  failure; a bug says so     5  binaries or files differ or are missing
  2  usage                      6  this host cannot, or this version
  3  bad core                   7  the restore failed and was undone

Errors are one line on stderr: subject: finding, expectation; remedy [CODE]. Data goes to stdout.

Environment:
  NO_COLOR, FORCE_COLOR         never, or always in colour
  TMPDIR                        where packed cores are unpacked to, and programs of ours start from`;
