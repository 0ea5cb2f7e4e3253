import {
	type AddCommand,
	clockOption,
	descriptorOption,
	freshIdsOption,
	limitOption,
	listOption,
	maxSizeOption,
	missingFdsOption,
	Option,
	pidNamespaceOption,
	pidOption,
	renameOption,
} from "../command-line.ts";
import type { RaiseVerb } from "./run.ts";

export const addRaise: AddCommand = (program, end) => {
	program
		.command("raise")
		.description("bring the process of a core back to life; no images are written, and no donor is needed")
		.usage("[options] CORE [-- GDB-ARGS...]")
		.argument("[core]", "the core; - is standard input; gzip, zstd, lz4, xz and bzip2 are unpacked")
		.argument("[gdb-args...]", "with --gdb: further arguments for gdb")
		.option("-c, --core <file>", "the same as CORE")
		.option("-i, --images <dir>", "a donor, which lends what a core cannot know: files, handlers, timers, limits")
		.addOption(pidOption("--donor-pid <pid>", "which process of the donor, where it holds several"))
		.optionsGroup("How it is left:")
		.option("--run", "let it go on; otherwise it waits, stopped")
		.option("--wait", "let it go on, wait for its end, and end as it does")
		.addOption(
			new Option("--gdb", "hand it to gdb, stopped; when gdb quits, it ends").conflicts([
				"run",
				"wait",
				"json",
				"ptrace",
			]),
		)
		.option("--leave-handlers", "out of the handlers that told of the crash, back to where it came")
		.option("--keep", "with --gdb: it lives on when gdb quits")
		.option("--pidfile <file>", "write its pid there")
		.optionsGroup("Its ids (its own where they are free and may be chosen, else in a pid namespace, else fresh):")
		.addOption(pidNamespaceOption())
		.addOption(freshIdsOption())
		.optionsGroup("Its files:")
		.option("--sysroot <dir>", "find the mapped files below DIR, as in the dead process's root")
		.addOption(renameOption("--map-file <old=new>", "take NEW for the mapped file OLD (may be repeated)"))
		.addOption(listOption("--search <dir>", "search DIR for mapped files by build-id (may be repeated)"))
		.option("--allow-mismatch", "go on although mapped files are other builds")
		.addOption(
			new Option("--missing-files <policy>", "what becomes of mapped data whose file is gone")
				.choices(["error", "zeros"])
				.default("error"),
		)
		.addOption(descriptorOption("--fd <n=path>", "open PATH as descriptor N (may be repeated)"))
		.option("--tty", "our terminal becomes its descriptors 0, 1 and 2, instead of /dev/null")
		.addOption(missingFdsOption())
		.optionsGroup("Its memory:")
		.addOption(new Option("--eager", "read all of its memory; the core may go then (the default)").conflicts("lazy"))
		.option("--lazy", "map memory from the core instead of reading it: at once, but the core has to stay as it is")
		.option("--truncated", "take a core that was cut short, without what is missing")
		.addOption(maxSizeOption())
		.optionsGroup("Its clock:")
		.addOption(clockOption())
		.optionsGroup("Its rights and limits:")
		.option("--trust", "all rights that the core says it had; otherwise no more than the core's owner has")
		.addOption(limitOption())
		.option("--no-ptrace", "do not trace it: less is checked, and a few pages of ours stay in it")
		.optionsGroup("Output:")
		.option("--check", "say what would be made, and make nothing")
		.option("--json", "as JSON")
		.option("-q, --quiet", "print nothing but errors")
		.option("-v, --verbose", "every finding, also the harmless ones")
		.addHelpText("after", HELP)
		.action(async (core: string | undefined, gdbArgs: readonly string[], options: Partial<RaiseVerb>, command) => {
			// `raise -c CORE --gdb -- -x script`: with -c the positional argument belongs to gdb
			const given = options.core ?? core;
			if (given === undefined) return command.error("error: CORE is missing");
			const rest = options.core !== undefined && core !== undefined ? [core, ...gdbArgs] : gdbArgs;
			if (rest.length > 0 && options.gdb !== true)
				return command.error(
					`error: too many arguments: ${rest.join(" ")} (there is one core; what follows it is for gdb, with --gdb)`,
				);
			if (options.keep === true && options.gdb !== true) return command.error("error: --keep is for --gdb");
			if (options.donorPid !== undefined && options.images === undefined)
				return command.error("error: --donor-pid is for -i");
			const { raiseVerb } = await import("./run.ts");
			end(await raiseVerb({ ...options, core: given, gdbArgs: rest }));
		});
};

const HELP = `
  $ necromancer raise core.5739                         it lives, stopped; look at it with any debugger
  $ necromancer raise core.5739 --gdb                   call functions in it: (gdb) call save_all()
  $ necromancer raise core.5739 --fd 3=/tmp/log --run   it goes on, and its descriptor 3 is /tmp/log
  $ necromancer raise core.zst --search /opt/builds     binaries are found by build-id
  $ necromancer raise core.5739 -i DONOR --run          with a donor, its files, handlers and timers are back

A core holds memory and registers. Descriptors, handlers, timers and limits are not in it: without a donor, those that the
core proves get a stand-in, the others are as in a new process; each such decision is a finding. Sockets and pipes to others
are gone in any case. A thread that died of its own fault executes the faulting instruction again when it goes on.

Exit status: with --wait the process's own, or 128 + n when signal n ended it; with --gdb that of gdb; else as in
necromancer --help.`;
