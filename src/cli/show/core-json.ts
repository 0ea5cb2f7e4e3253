import { hex } from "../../bytes/address.ts";
import type { InitialStack } from "../../core/stack.ts";
import { machineName } from "../../elf/machine.ts";
import { signalName } from "../../linux/signal.ts";
import { SCHEMA } from "../json-text.ts";
import type { CoreView } from "./core-view.ts";
import { auxvJson, countJson, fileJson, mappingJson, threadJson, totalsJson } from "./json.ts";
import { each } from "./json-stream.ts";

/** A core for programs; see json.ts for how values are spelled. */
export function coreJson({ name, core, dead, comm, threads, mappings, files, findings }: CoreView) {
	const { death, memory } = dead;
	return {
		schema: SCHEMA,
		kind: "core",
		name,
		size: countJson(core.source.size),
		writer: core.writer,
		machine: machineName(core.machine),
		process: {
			pid: dead.pid,
			ppid: dead.ppid ?? null,
			pgid: dead.pgid ?? null,
			sid: dead.sid ?? null,
			comm,
			uid: dead.owner?.uid ?? null,
			gid: dead.owner?.gid ?? null,
			executable: memory.executable,
		},
		death:
			death.signal === 0
				? null
				: {
						signal: signalName(death.signal),
						number: death.signal,
						words: death.words,
						tid: death.tid,
						synchronous: death.synchronous,
						siginfo: core.siginfo === undefined ? null : Buffer.from(core.siginfo).toString("hex"),
					},
		stack: stackJson(memory.stack),
		threads: each(threads, (thread) => threadJson(thread, mappings)),
		mappings: each(mappings, mappingJson),
		totals: totalsJson(mappings),
		files: each(files, fileJson),
		auxv: core.auxv.map(auxvJson),
		otherNotes: each(core.otherNotes, (note) => note),
		findings: each(findings, (finding) => finding),
	};
}

/** Arguments, environment and where the kernel put them; `certainty` says how well they are known. */
function stackJson(stack: InitialStack) {
	const reason = stack.kind === "found" ? null : stack.reason;
	if (stack.kind === "unknown") {
		const unknown = {
			arguments: null,
			execfn: null,
			start: null,
			argStart: null,
			argEnd: null,
			envStart: null,
			envEnd: null,
		};
		return { certainty: stack.kind, reason, ...unknown };
	}
	return {
		certainty: stack.kind,
		reason,
		arguments: stack.argv,
		execfn: stack.execfn ?? null,
		start: hex(stack.startStack),
		argStart: hex(stack.argStart),
		argEnd: hex(stack.argEnd),
		envStart: hex(stack.envStart),
		envEnd: hex(stack.envEnd),
	};
}
