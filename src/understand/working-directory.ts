import { textFromBytes } from "../bytes/text.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { Files } from "../forest/files.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Bounds } from "../forest/task.ts";
import { S_IFDIR, S_IFMT } from "../linux/stat.ts";

const UMASK = 0o022;
const MOST_ENVIRONMENT = 1n << 20n;

/** Working directory and umask: where the process was started, as its environment says, and what new files usually get. */
export function understandWorkingDirectory(
	dead: PartialTask,
	bounds: Bounds,
	{ cwd, modeOf }: { readonly cwd?: string; modeOf(path: string): number | undefined },
	report: (finding: Finding) => void,
): Pick<Files, "cwd" | "umask"> {
	const isDirectory = (path: string): boolean => ((modeOf(path) ?? 0) & S_IFMT) === S_IFDIR;
	const umask = `umask ${UMASK.toString(8).padStart(4, "0")}`;
	if (cwd !== undefined) {
		report(note("default", "umask", `not in a core: ${umask}`));
		return { cwd, umask: UMASK };
	}
	const started = environment(dead, bounds, "PWD");
	if (started?.startsWith("/") && isDirectory(started)) {
		report(
			note("default", "working directory and umask", `not in a core: ${started}, where it was started (PWD); ${umask}`),
		);
		return { cwd: started, umask: UMASK };
	}
	report(
		caution(
			"default",
			"working directory and umask",
			`not in a core${started === undefined ? "" : `, and ${started}, where it was started, is no directory here`}: /; ${umask}`,
		),
	);
	return { cwd: "/", umask: UMASK };
}

/** The directory that a process was started in, as its environment says (PWD). */
export function startDirectory(dead: PartialTask): string | undefined {
	const { stack } = dead.memory;
	const started = stack.kind === "unknown" ? undefined : environment(dead, stack, "PWD");
	return started?.startsWith("/") === true ? started : undefined;
}

/** A variable of the environment that the process was started with. */
function environment(
	{ memory }: PartialTask,
	{ envStart, envEnd }: Pick<Bounds, "envStart" | "envEnd">,
	name: string,
): string | undefined {
	if (envEnd <= envStart || envEnd - envStart > MOST_ENVIRONMENT) return undefined;
	const bytes = memory.read(envStart, Number(envEnd - envStart));
	if (bytes === undefined) return undefined;
	const lead = Buffer.from(`\0${name}=`);
	const all = Buffer.concat([Buffer.alloc(1), bytes]);
	const at = all.indexOf(lead);
	const end = at < 0 ? -1 : all.indexOf(0, at + 1);
	return end < 0 ? undefined : textFromBytes(all.subarray(at + lead.length, end));
}
