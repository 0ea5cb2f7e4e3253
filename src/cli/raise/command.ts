import { type AddCommand, Option } from "../command-line.ts";
import { addRaiseChoices, donorPidOption, leaveHandlersOption } from "../raise-choices.ts";
import type { RaiseVerb } from "./run.ts";

export const addRaise: AddCommand = (program, end) => {
	const command = program
		.command("raise")
		.description("bring the process of a core back to life; no images are written, and no donor is needed")
		.usage("[options] CORE [-- GDB-ARGS...]")
		.argument("[core]", "the core; - is standard input; gzip, zstd, lz4, xz and bzip2 are unpacked")
		.argument("[gdb-args...]", "with --gdb: further arguments for gdb")
		.option("-c, --core <file>", "the same as CORE")
		.option("-i, --images <dir>", "a donor, which lends what a core cannot know: files, handlers, timers, limits")
		.addOption(donorPidOption())
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
		.addOption(leaveHandlersOption())
		.option("--keep", "with --gdb: it lives on when gdb quits")
		.option("--pidfile <file>", "write its pid there");
	addRaiseChoices(command)
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
