import { readFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { errorTable } from "../errors.ts";
import type { PatchVerb } from "./patch.ts";
import type { RestoreVerb } from "./restore.ts";

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
		.configureOutput({ outputError: (text, write) => write(usageText(text)) })
		.configureHelp({ showGlobalOptions: false })
		.option("-c, --core <file>", "the core of the dead process (the kernel's or gdb's)")
		.option("-i, --images <dir>", "CRIU images of a donor: the same program, dumped alive; patched in place")
		.option("-o, --output <dir>", "write the patched images here instead and leave the donor alone")
		.option("--check", "report findings and write nothing")
		.addOption(new Option("--donor-pid <pid>", "which process of the donor, where it holds several").argParser(pidOf))
		.option("--allow-mismatch", "go on although a library of the donor is another build")
		.option("--sync", "also survive a power failure: flush every file before the switch")
		.option("--json", "print task and findings as JSON")
		.option("-q, --quiet", "print nothing but errors")
		.option("-v, --verbose", "print every finding, also the harmless ones")
		.addHelpText("after", HELP)
		.action(async (options: Partial<PatchVerb>, command: Command) => {
			const { core, images } = options;
			if (core === undefined || images === undefined)
				return command.error(`error: ${core === undefined ? "-c CORE" : "-i IMGDIR"} is missing`);
			const { patchVerb } = await import("./patch.ts");
			await patchVerb({ ...options, core, images });
		});
	program
		.command("show")
		.description("say what a core or an image directory holds")
		.argument("<path>", "a core file or an image directory")
		.option("--json", "as JSON: addresses are hexadecimal strings, `schema` tells the version")
		.addOption(new Option("--pid <pid>", "which process of an image directory").argParser(pidOf))
		.option("-v, --verbose", "all registers and all mappings")
		.action(async (path: string, options: { json?: boolean; verbose?: boolean; pid?: number }) => {
			const [{ show }, { openTerminal }] = await Promise.all([import("./show.ts"), import("./terminal.ts")]);
			const { json = false, verbose = false, pid } = options;
			await show(path, { json, verbose, ...(pid === undefined ? {} : { pid }) }, openTerminal(process));
		});
	program
		.command("restore")
		.description("make the process that an image directory describes; no CRIU is needed")
		.requiredOption("-i, --images <dir>", "the images, of CRIU or patched by us")
		.addOption(new Option("--pid <pid>", "which process, where the images hold several").argParser(pidOf))
		.option("-d, --detach", "leave it to itself; otherwise its exit status becomes ours")
		.option("-s, --leave-stopped", "leave it stopped, and to itself")
		.addOption(new Option("--fd <n=path>", "open PATH as descriptor N (may be repeated)").argParser(descriptorOf))
		.addOption(
			new Option("--missing-fds <policy>", "what becomes of descriptors that cannot be opened")
				.choices(["error", "null"])
				.default("error"),
		)
		.option("--pidfile <file>", "write its pid there")
		.option("--no-ptrace", "do not trace it: less is checked, and a few pages of ours stay in it")
		.option("-v, --verbose", "say what is not as it was")
		.action(async (options: RestoreVerb) => {
			const { restoreVerb } = await import("./restore.ts");
			status = await restoreVerb(options);
		});
	program
		.command("plan")
		.description("print the system calls that a restore would make, and touch nothing")
		.requiredOption("-i, --images <dir>", "the images, of CRIU or patched by us")
		.addOption(new Option("--pid <pid>", "which process, where the images hold several").argParser(pidOf))
		.option("--json", "as JSON")
		.option("-v, --verbose", "every step")
		.action(async (options: { images: string; pid?: number; json?: boolean; verbose?: boolean }) => {
			const [{ planVerb }, { openTerminal }, { measureHost }] = await Promise.all([
				import("./plan.ts"),
				import("./terminal.ts"),
				import("../host/facts.ts"),
			]);
			const { json = false, verbose = false, ...rest } = options;
			await planVerb({ ...rest, json, verbose }, openTerminal(process), () => measureHost());
		});
	program
		.command("check")
		.description("probe what this host can do for a restore, and say what is lost without")
		.option("--json", "as JSON")
		.action(async (options: { json?: boolean }) => {
			const [{ checkVerb }, { openTerminal }] = await Promise.all([import("./check.ts"), import("./terminal.ts")]);
			await checkVerb(options.json === true, openTerminal(process));
		});
	try {
		await program.parseAsync(args, { from: "user" });
		return status;
	} catch (error) {
		if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : errorTable.ERR_USAGE.exit;
		throw error;
	}
}

/** Commander's own wording in the shape of our other refusals. */
const usageText = (text: string): string =>
	`necromancer: ${text
		.trim()
		.replace(/^error: /, "")
		.replace(/\.$/, "")}; see necromancer --help [ERR_USAGE]\n`;

/** `--fd 5=/tmp/log`, gathered. The kernel itself takes no number above 2^20 (sysctl_nr_open). */
function descriptorOf(text: string, before: ReadonlyMap<number, string> = new Map()): ReadonlyMap<number, string> {
	const [, number, path] = /^(\d{1,7})=(.+)$/s.exec(text) ?? [];
	if (number === undefined || path === undefined || Number(number) >= 1 << 20)
		throw new InvalidArgumentError(`expected N=PATH with a descriptor below 1048576, not "${text}".`);
	return new Map([...before, [Number(number), path]]);
}

function pidOf(text: string): number {
	const pid = Number(text);
	if (!Number.isInteger(pid) || pid <= 0) throw new InvalidArgumentError(`expected a process id, not "${text}".`);
	return pid;
}

const HELP = `
A core holds a process's memory and registers; it knows nothing of open files, signal handlers, timers and limits. A donor
does: dump the same program alive (criu dump -t PID -D IMGDIR), then

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
