import { syscallName } from "../../arch/x86-64/syscalls.ts";
import { caution, type Finding, note } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { hasFaultedHere } from "./signal-frame.ts";

/** Calls by which a thread signals itself, abort(3) and raise(3) foremost. */
const SIGNALLING: readonly string[] = ["tgkill", "tkill", "kill"];

/** Says what the thread that took the fatal signal will do when it resumes where it died. */
export function reportDeath({ death, threads, memory }: PartialTask, report: (finding: Finding) => void): void {
	if (death.signal === 0) return;
	const subject = `thread ${death.tid}`;
	const thread = threads.find(({ tid }) => tid === death.tid);
	const call = thread === undefined ? undefined : syscallName(thread.registers.orig_ax);
	const say = (text: string): void => report(caution("fatal-signal", subject, `died of ${death.words}; ${text}`));
	const again = death.synchronous || (thread !== undefined && call === undefined && hasFaultedHere(thread, memory));
	if (again) say("when it goes on it executes the same instruction, and dies again unless that is changed");
	// folklore: bash 5.2 and Emacs 28.2 clean up in a handler, raise the signal again by kill(2), and call exit(3) after it
	else if (SIGNALLING.includes(call ?? ""))
		say("it had raised that itself, and goes on behind the call: abort(3) ends it again, and so may its own handler");
	else report(note("fatal-signal", subject, `died of ${death.words}; it goes on where it was`));
}
