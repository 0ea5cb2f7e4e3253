import { refuse } from "../errors.ts";
import { ownerInProc, ownProcPath } from "../proc/own-paths.ts";
import { socketWords } from "../proc/sockets.ts";
import { kindOf, type OpenDescriptor } from "./open-files.ts";

/** What becomes of descriptors that cannot be dumped yet: sockets above all. */
export type MissingDescriptors =
	/** There is no dump. */
	| "error"
	/** /dev/null takes the number. */
	| "null"
	/** The number is free. */
	| "skip";

/**
 * Refuses a process by the names of what it has open, before anything is done to it.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for all of them at once.
 */
export function requireDumpable(pid: number, open: readonly OpenDescriptor[], policy: MissingDescriptors): void {
	if (policy !== "error") return;
	const refused = open.flatMap((descriptor) => {
		const words = wordsOf(pid, descriptor);
		return words === undefined ? [] : [{ number: descriptor.number, words }];
	});
	const [only] = refused;
	if (only === undefined) return;
	const one = refused.length === 1;
	const numbers = refused.map(({ number }) => number).join(", ");
	refuse("ERR_UNSUPPORTED", {
		subject: one ? `descriptor ${numbers}` : `descriptors ${numbers}`,
		finding: one ? `is ${only.words}` : refused.map(({ number, words }) => `${number} is ${words}`).join(", "),
		expectation: "which this version cannot dump",
		remedy: "let /dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip",
	});
}

/** Whose file of /proc/PID it is, if another process's: only the process's own and that of pid 1 exist again after a restore. */
function aboutAnother(pid: number, path: string): string | undefined {
	const owner = ownerInProc(path);
	if (owner === undefined || owner.pid === 1) return undefined;
	if (owner.pid !== pid) return `a file about process ${owner.pid} (${path})`;
	return ownProcPath(path, pid)?.startsWith("/proc/self/task/") === true
		? `a file about one of its threads (${path})`
		: undefined;
}

/** What a descriptor is that cannot be dumped; `undefined` when it can. */
export function wordsOf(pid: number, descriptor: OpenDescriptor): string | undefined {
	const kind = kindOf(descriptor);
	if (kind.kind === "tty") return `the terminal ${kind.path}`;
	if (kind.kind === "file") return aboutAnother(pid, kind.path);
	if (kind.kind !== "other") return undefined;
	return descriptor.link.startsWith("socket:") ? socketWords(pid, descriptor.link) : kind.words;
}
