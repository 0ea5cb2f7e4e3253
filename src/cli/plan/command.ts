import { resolve } from "node:path";
import { defined } from "../../bytes/defined.ts";
import type { ImageLosable } from "../../restore/image-losable.ts";
import {
	type AddCommand,
	addImages,
	type Command,
	type ImagesOptions,
	imageLossesOption,
	imagesOf,
	pidOption,
} from "../command-line.ts";
import { addRaiseChoices, donorPidOption, leaveHandlersOption, type RaiseChoices } from "../raise-choices.ts";
import type { Terminal } from "../terminal.ts";

interface PlanCommandOptions extends ImagesOptions, Omit<Partial<RaiseChoices>, "images"> {
	readonly pid?: number;
	readonly allowLost?: ReadonlySet<ImageLosable>;
	readonly json?: boolean;
	readonly verbose?: boolean;
}

export const addPlan: AddCommand = (program) => {
	const command = program
		.command("plan")
		.usage("-i IMGDIR [options] | CORE [options]")
		.description("print the system calls that a restore would make, or a raise, and make nothing")
		.argument("[core]", "a core, as raise takes it");
	addImages(command, "the images, of CRIU or patched by us; with CORE, a donor")
		.addOption(pidOption("--pid <pid>", "which process, where the images hold several"))
		.addOption(imageLossesOption())
		.option("--json", "as JSON")
		.option("-v, --verbose", "every step")
		.optionsGroup("Of a core:")
		.option("-c, --core <file>", "the same as CORE")
		.addOption(donorPidOption())
		.option("--run", "as with raise --run")
		.option("--wait", "as with raise --wait")
		.addOption(leaveHandlersOption());
	addRaiseChoices(command)
		.addHelpText("after", HELP)
		.action(async (core: string | undefined, options: PlanCommandOptions, command: Command) => {
			const { openTerminal } = await import("../terminal.ts");
			const given = options.core ?? core;
			if (given === undefined) return planImages(options, command, openTerminal(process));
			if (core !== undefined && options.core !== undefined) return command.error("error: there is one core");
			requireOnly(command, OF_IMAGES, "-i without CORE");
			const { images, imagesDir } = options;
			if (options.donorPid !== undefined && images === undefined && imagesDir === undefined)
				return command.error("error: --donor-pid is for -i");
			const { planCoreVerb } = await import("./plan-core.ts");
			const donor = images === undefined && imagesDir === undefined ? {} : { images: imagesOf(options, command) };
			const { json = false, verbose = false } = options;
			await planCoreVerb({ ...options, ...donor, core: given, json, verbose }, openTerminal(process));
		});
};

async function planImages(options: PlanCommandOptions, command: Command, terminal: Terminal): Promise<void> {
	requireOnly(command, ofCore(command), "CORE");
	const [{ planVerb }, { measureHost }] = await Promise.all([import("./run.ts"), import("../../host/facts.ts")]);
	const { json = false, verbose = false, trust = false, pid, clock, allowLost } = options;
	// absolute, as a restore opens page files
	const images = resolve(imagesOf(options, command));
	const verb = { images, json, verbose, trust, ...defined({ pid, clock, allowLost }) };
	await planVerb(verb, terminal, () => measureHost());
}

const OF_IMAGES: readonly string[] = ["pid", "allowLost"];
const OF_BOTH: readonly string[] = ["images", "imagesDir", "json", "verbose", "trust", "clock"];

const ofCore = ({ options }: Command): readonly string[] =>
	options.map((option) => option.attributeName()).filter((name) => ![...OF_IMAGES, ...OF_BOTH].includes(name));

/** Ends the command where an option is given that means nothing here. @param what it is for. */
function requireOnly(command: Command, others: readonly string[], what: string): void {
	for (const option of command.options)
		if (others.includes(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === "cli")
			command.error(`error: ${option.long ?? option.flags} is for ${what}`);
}

const HELP = `
  $ necromancer plan -i DIR                         the stages of a restore; steps that are alike are folded
  $ necromancer plan -i DIR -v                      every step, with its arguments as strace prints them
  $ necromancer plan -i DIR --json | jq '.lists[] | .name, (.steps | length)'
  $ necromancer plan core.5739 --run                what raise core.5739 --run would do; its files are opened as there
  $ necromancer plan core.5739 -i DONOR -v          the same with a donor

Each step is one system call, with its reason. Steps are numbered as in the messages of restore, and as
NECROMANCER_FAIL_STEP counts. It is the plan for this host: its vdso, its processor, what it allows. The plan of a core is
refused where its raise would be.

Exit status: 0 done, 2 usage, 3 bad core, 4 bad images, 5 other binaries, 6 the process held something that cannot be
restored here.`;
