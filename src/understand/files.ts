import type { Range } from "../bytes/range.ts";
import type { OpenFile } from "../descriptors/file.ts";
import type { DescriptorGuess } from "../descriptors/stand-ins.ts";
import { standIn } from "../descriptors/stand-ins.ts";
import { type Finding, loss } from "../finding.ts";
import type { Descriptor, Files } from "../forest/files.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Bounds } from "../forest/task.ts";
import { O } from "../linux/open.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../linux/stat.ts";
import { movedNumbers, withNumbers } from "./donor/descriptor-numbers.ts";
import { withProvenTargets } from "./donor/epoll-targets.ts";
import { withMovedWords } from "./donor/epoll-words.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";
import { withOwnNames } from "./donor/named-after-process.ts";
import type { BlockingCall } from "./evidence/blocking-calls.ts";
import { type ProvedDescriptors, provedDescriptors } from "./evidence/descriptors.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { waitsOf } from "./evidence/waits.ts";
import { lentFiles } from "./lent-files.ts";
import { anyByteOf, withProvedFiles } from "./proved-files.ts";
import { understandWorkingDirectory } from "./working-directory.ts";

export interface FilesOptions {
	/** Files that the user names, by descriptor. */
	readonly fds?: ReadonlyMap<number, string>;
	/** The device file of a terminal, for 0, 1 and 2. */
	readonly tty?: string;
	/** Working directory, instead of the one it was started in. */
	readonly cwd?: string;
	/** How a path looks on this host: st_mode; `undefined` where there is nothing. */
	modeOf(path: string): number | undefined;
	/** Whose it is: st_uid; `undefined` where there is nothing. */
	ownerOf?(path: string): number | undefined;
}

const NULL = "/dev/null";
const STANDARD = [0, 1, 2] as const;

/** What the process will have open. No core lists that: a donor had the same; else there are stand-ins for what the core proves. */
export function understandFiles(
	dead: PartialTask,
	evidence: Evidence,
	donor: MovedDonor | undefined,
	{ bounds, places }: { readonly bounds: Bounds; readonly places: readonly Range[] },
	options: FilesOptions,
	report: (finding: Finding) => void,
): Files {
	const proved = provedDescriptors(dead, places, evidence);
	if (donor !== undefined) return filesOfDonor(dead, evidence.calls, proved, donor, options, report);
	proved.reportOthers(options.fds?.keys() ?? [], report);
	return {
		descriptors: ownFiles(dead, proved.all, options, report),
		...understandWorkingDirectory(dead, bounds, options, report),
	};
}

/** The donor's, as far as the core does not contradict, and stand-ins for what only that tells of. */
function filesOfDonor(
	dead: PartialTask,
	calls: readonly BlockingCall[],
	proved: ProvedDescriptors,
	{ task, moved, pairs }: MovedDonor,
	{ fds, modeOf, ownerOf }: FilesOptions,
	report: (finding: Finding) => void,
): Files {
	const numbers = movedNumbers(waitsOf(calls, dead.memory), task, proved.loops, report);
	const lent = lentFiles(dead, { task: withNumbers(task, numbers), pairs }, report);
	const pids = { donorPid: task.identity.pid, deadPid: dead.pid };
	const isOwn = (path: string): boolean => {
		const [user, owner] = [dead.owner?.uid, ownerOf?.(path)];
		return user === undefined || owner === undefined || owner === user;
	};
	const own = withOwnNames(lent, { ...pids, named: new Set(fds?.keys()), modeOf, isOwn }, report);
	const words = withMovedWords(own, { dead, calls, donor: task, moved, numbers }, report);
	proved.reportOthers(
		words.descriptors.map(({ number }) => number),
		report,
	);
	return withProvenTargets(withProvedFiles(words, proved.all, dead, report), proved.loops, report);
}

/** What the user names, stand-ins for what the core proves, the standard descriptors. All else is closed. */
function ownFiles(
	dead: PartialTask,
	guesses: readonly DescriptorGuess[],
	options: FilesOptions,
	report: (finding: Finding) => void,
): Descriptor[] {
	const { fds = new Map<number, string>(), tty } = options;
	const descriptors = new Map<number, Descriptor>();
	const named = (number: number, path: string): void => {
		descriptors.set(number, { number, closeOnExec: false, description: fileAt(number, path, options) });
	};
	for (const [number, path] of fds) named(number, path);
	for (const guess of guesses) {
		const { number, what } = guess;
		// a terminal can be waited on, and writing nowhere is what /dev/null is for; reading there would be the end of the input
		const standard = what.kind === "silence" && number <= 2 && (number > 0 || tty !== undefined);
		if (descriptors.has(number) || standard) continue;
		const { description, finding } = standIn(guess, anyByteOf(dead));
		descriptors.set(number, { number, closeOnExec: guess.closeOnExec, description });
		report(finding);
	}
	const standard = STANDARD.filter((number) => !descriptors.has(number));
	for (const number of standard) named(number, tty ?? NULL);
	const where =
		standard.length === 0 ? "" : `${standard.join(", ")} ${standard.length === 1 ? "is" : "are"} ${tty ?? NULL}; `;
	report(
		loss(
			"files-default",
			"descriptors",
			`a core lists none: ${where}all other files and sockets that it had open are closed; reopen them with --fd N=PATH`,
		),
	);
	return [...descriptors.values()].sort((a, b) => a.number - b.number);
}

/** A regular file is written at its end, for where the dead process was is not known. */
function fileAt(number: number, path: string, { modeOf }: FilesOptions): OpenFile {
	const mode = modeOf(path) ?? 0;
	const kind = mode & S_IFMT;
	const flags = kind === S_IFDIR ? O.RDONLY | O.DIRECTORY : kind === S_IFREG ? O.RDWR | O.APPEND : O.RDWR;
	return { kind: "file", id: number, flags, path, position: 0n, unlinked: false };
}
