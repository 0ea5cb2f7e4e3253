import { basename } from "node:path";
import { type Finding, loss } from "../../finding.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { isGo } from "./go-poller.ts";

/** A language runtime that catches signals to do its own work. */
interface Runtime {
	readonly name: string;
	/** Whether the process holds it. */
	in(memory: PartialMemory): boolean;
	/** What comes of a signal whose handler is gone. */
	readonly without: string;
}

const maps =
	(library: RegExp) =>
	({ mappings }: PartialMemory): boolean =>
		mappings.some(({ file }) => file !== undefined && library.test(basename(file.path)));

/**
 * Where each says what it catches: HotSpot's os/posix/signals_posix.cpp, CoreCLR's pal/src/exception/signal.cpp, Mono's
 * mini-posix.c, Go's runtime/sigtab_linux_generic.go, Node's src/node.cc and V8's trap handler, SBCL's
 * runtime/interrupt.c (seen with 2.2.9: dead at the first collection after a raise without donor).
 */
const runtimes: readonly Runtime[] = [
	{
		name: "the Java virtual machine",
		in: maps(/^libjvm\.so$/),
		without:
			"without its handler of SIGSEGV the next null check or safepoint ends the process, without that of SIGQUIT jcmd and jstack do",
	},
	{
		name: ".NET",
		in: maps(/^libcoreclr\.so$/),
		without:
			"without its handler of SIGSEGV the next null reference ends the process, without those of real-time signals the next garbage collection does",
	},
	{
		name: "Mono",
		in: maps(/^(?:libmono.*\.so.*|mono(?:-sgen|-boehm)?)$/),
		without:
			"without its handler of SIGSEGV the next null reference ends the process, without those of real-time signals the next garbage collection does",
	},
	{
		name: "Go's runtime",
		in: isGo,
		without:
			"without its handlers a nil dereference ends the process where it was a panic, SIGPIPE ends it at the next closed connection, and a goroutine in a tight loop holds up the garbage collector for ever",
	},
	{
		name: "Node",
		in: maps(/^(?:node|nodejs|libnode\.so.*)$/),
		without:
			"SIGPIPE, which it ignored, ends the process at the next closed connection, SIGUSR1 ends it where it opened the inspector, and a trap of WebAssembly does",
	},
	{
		name: "SBCL",
		in: maps(/^sbcl$/),
		without:
			"without its handler of SIGSEGV, by which it sees writes to older generations, the next garbage collection ends the process",
	},
	{
		name: "Wasmtime",
		in: maps(/^(?:libwasmtime.*\.so.*|wasmtime)$/),
		without: "without its handlers of SIGSEGV, SIGILL and SIGFPE the next trap of WebAssembly ends the process",
	},
];

/** A runtime that cannot live without its signal handlers, of which a core knows none: what will happen, and what helps. */
export function reportRuntimes(memory: PartialMemory, report: (finding: Finding) => void): void {
	for (const runtime of runtimes)
		if (runtime.in(memory))
			report(loss("runtime-handlers", runtime.name, `${runtime.without}; a donor (-i) brings its handlers`));
}
