import { cut, type Extent } from "../../bytes/extent.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { Description, Descriptor, Files, OpenFile, Pipe } from "../../forest/files.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { O } from "../../linux/open.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../../linux/stat.ts";
import type { DescriptorGuess } from "../evidence/descriptor-guess.ts";

export interface FilesOptions {
	/** Files that the user names, by descriptor. */
	readonly fds?: ReadonlyMap<number, string>;
	/** The device file of a terminal, for 0, 1 and 2. */
	readonly tty?: string;
	/** How a path looks on this host: st_mode; `undefined` where there is nothing. */
	modeOf(path: string): number | undefined;
}

const NULL = "/dev/null";
const STANDARD = [0, 1, 2] as const;

/**
 * What the process will have open: what the user names, stand-ins for what the core proves, the standard descriptors. All
 * else is closed.
 */
export function deduceFiles(
	dead: PartialTask,
	deduced: readonly DescriptorGuess[],
	options: FilesOptions,
	report: (finding: Finding) => void,
): Pick<Files, "descriptors"> {
	const { fds = new Map<number, string>(), tty } = options;
	const descriptors = new Map<number, Descriptor>();
	const named = (number: number, path: string): void => {
		descriptors.set(number, { number, closeOnExec: false, description: fileAt(number, path, options) });
	};
	for (const [number, path] of fds) named(number, path);
	for (const stand of deduced) {
		const { number, what } = stand;
		// a terminal can be waited on, and writing nowhere is what /dev/null is for; reading there would be the end of the input
		const standard = what.kind === "silence" && number <= 2 && (number > 0 || tty !== undefined);
		if (descriptors.has(number) || standard) continue;
		descriptors.set(number, { number, closeOnExec: stand.closeOnExec, description: standIn(stand, dead) });
		report(findingOf(stand));
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
	return { descriptors: [...descriptors.values()].sort((a, b) => a.number - b.number) };
}

/** A regular file is written at its end, for where the dead process was is not known. */
function fileAt(number: number, path: string, { modeOf }: FilesOptions): OpenFile {
	const mode = modeOf(path) ?? 0;
	const kind = mode & S_IFMT;
	const flags = kind === S_IFDIR ? O.RDONLY | O.DIRECTORY : kind === S_IFREG ? O.RDWR | O.APPEND : O.RDWR;
	return { kind: "file", id: number, flags, path, position: 0n, unlinked: false };
}

function standIn({ number, what, flags }: DescriptorGuess, dead: PartialTask): Description {
	const common = { id: number, flags: flags | O.RDWR };
	switch (what.kind) {
		case "epoll":
			return { ...common, kind: "epoll", targets: what.targets };
		case "eventfd":
			return { ...common, kind: "eventfd", counter: 0n };
		case "socket":
			return { ...common, kind: "socket-pair", pair: what.pair };
		case "silence":
			return { ...common, kind: "pipe", pipe: { id: number } };
		case "end":
			return { ...common, flags: flags | what.access, kind: "pipe", pipe: pipeOf(what.pipe, what.lock === true, dead) };
	}
}

function pipeOf(id: number, lock: boolean, { memory }: PartialTask): Pipe {
	const byte = lock ? memory.contents.find(({ available }) => available > 0n) : undefined;
	return byte === undefined ? { id } : { id, content: oneByteOf(byte) };
}

/** Whose value does not matter: any byte that is at hand. */
const oneByteOf = (content: Extent): Extent => cut(content, 0n, 1n);

function findingOf({ number, what, why, awaited = false, guessed = false }: DescriptorGuess): Finding {
	const subject = `descriptor ${number}`;
	switch (what.kind) {
		case "epoll":
			return epollFinding(subject, what, why, awaited);
		case "eventfd":
			return guessed
				? caution(
						"descriptor-deduced",
						subject,
						`an eventfd that has counted nothing, as eight bytes were read of it (${why}); a timer or a socket would have been another`,
					)
				: note("descriptor-deduced", subject, `an eventfd that has counted nothing (${why})`);
		case "end":
			return note(
				"descriptor-deduced",
				subject,
				`the ${what.access === O.RDONLY ? "reading" : "writing"} end of a pipe (${why})`,
			);
		case "socket":
			return note("descriptor-deduced", subject, `one of a pair of unix sockets (${why})`);
		case "silence":
			return awaited
				? loss(
						"descriptor-deduced",
						subject,
						`of a kind that a core does not tell (${why}); a pipe stands in, from which nothing comes: it waits for ever`,
					)
				: caution(
						"descriptor-deduced",
						subject,
						`of a kind that a core does not tell (${why}); a pipe stands in, from which nothing comes`,
					);
	}
}

function epollFinding(
	subject: string,
	{ targets, complete }: Extract<DescriptorGuess["what"], { readonly kind: "epoll" }>,
	why: string,
	awaited: boolean,
): Finding {
	const watched = targets.length === 0 ? "nothing yet" : targets.map(({ number }) => number).join(", ");
	if (complete === true)
		return note("descriptor-deduced", subject, `an epoll instance (${why}) that watches ${watched}`);
	if (targets.length === 0 && awaited)
		return loss(
			"descriptor-deduced",
			subject,
			`an epoll instance (${why}); what it watched is not known, and no timeout ends the wait: it waits for ever`,
		);
	return caution(
		"descriptor-deduced",
		subject,
		targets.length === 0
			? `an epoll instance (${why}); what it watched is not known, so it only wakes for timeouts`
			: `an epoll instance (${why}) that watches ${watched}; what else it watched is not known`,
	);
}
