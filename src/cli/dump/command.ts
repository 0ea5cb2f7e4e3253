import { losable } from "../../dump/losable.ts";
import { type AddCommand, type Command, fileLocksOption, namesOf, Option, pidOption } from "../command-line.ts";
import type { DumpVerb } from "./run.ts";

export const addDump: AddCommand = (program) => {
	program
		.command("dump")
		.usage("-t PID -i IMGDIR [options]")
		.description("write the images of a living process and of all that come from it; no CRIU is needed")
		.addOption(pidOption("-t, --tree <pid>", "the process, the root of its tree").makeOptionMandatory())
		.option("-i, --images <dir>", "where to write: a directory that is empty or not there")
		.addOption(new Option("-D, --images-dir <dir>", "the same, as criu has it").hideHelp())
		.optionsGroup("How it is left:")
		.option("-R, --leave-running", "let them go on; otherwise they are ended when their images are complete")
		.option("-s, --leave-stopped", "leave them stopped")
		.optionsGroup("What is written:")
		.option(
			"--shell-job",
			"a job of a shell: its terminal, whose other end is elsewhere, is that of whoever restores it",
		)
		.option("--no-pages", "without memory: donors for cores, in milliseconds")
		.addOption(
			new Option("--missing-fds <policy>", "what becomes of descriptors that cannot be dumped, such as sockets")
				.choices(["error", "null", "skip"])
				.default("error"),
		)
		.option("--no-file-locks", "without its locks on files")
		.addOption(fileLocksOption())
		.addOption(
			new Option("--allow-lost <what>", `what may be lost, of ${Object.keys(losable).join(", ")}, or all`).argParser(
				namesOf(losable),
			),
		)
		.option("--sync", "wait until the images are on the disk before they are ended")
		.optionsGroup("Output:")
		.option("--json", "print the outcome as JSON")
		.option("-q, --quiet", "print nothing but errors")
		.option("-v, --verbose", "print every finding, also the harmless ones")
		.addHelpText("after", HELP)
		.action(async (options: Omit<DumpVerb, "images"> & { images?: string; imagesDir?: string }, command: Command) => {
			const images = options.images ?? options.imagesDir;
			if (images === undefined) return command.error("error: -i IMGDIR is missing");
			const { dumpVerb } = await import("./run.ts");
			await dumpVerb({ ...options, images });
		});
};

const HELP = `
  $ necromancer dump -t 5739 -i DIR                 to images; the processes are ended when they are complete
  $ necromancer dump -t 5739 -i DIR -R              they go on
  $ necromancer dump -t 5739 -i DONOR -R --no-pages donors for later cores: no memory, milliseconds

All threads, memory, descriptors, signals, timers, limits and credentials of a process and of all that come from it, and what
they share. Those that have ended and were not waited for keep their status. The images are CRIU's: necromancer restore and
criu restore take them. The processes stand still, all of them, while their memory is written. If anything fails, or this
program is killed, they go on as they were.

It takes the right to trace each of them: its own user, unless Yama or its dumpable flag forbid that, or CAP_SYS_PTRACE.
Refused by name, before any is touched: connections to others, terminals whose other end is elsewhere (--shell-job), other
descriptors without a place in images (--missing-fds), seccomp filters, other namespaces than ours but for System V IPC; and
processes that share memory, directories or signal handlers (CLONE_VM, CLONE_FS, CLONE_SIGHAND), as vfork has it. Network,
UTS and cgroup namespaces, labels of security modules, a local descriptor table and the like are let go with --allow-lost.
Whether Landlock confines one cannot be seen: if it does, it does no more afterwards. Each gets a new session keyring.

Exit status: 0 done, 1 there is no such process, or no space; 2 usage, 6 this host cannot, or this version.`;
