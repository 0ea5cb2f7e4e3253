import { cut, type Extent } from "../bytes/extent.ts";
import type { Description } from "../descriptors/kinds.ts";
import type { Pipe } from "../descriptors/pipe-queue.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { O } from "../linux/open.ts";
import type { DescriptorGuess } from "./evidence/descriptor-guess.ts";

/** What takes the place of a descriptor of which the core proves no more than that. */
export function standIn({ number, what, flags }: DescriptorGuess, dead: PartialTask): Description {
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

/** What is said of it. */
export function standInFinding({ number, what, why, awaited = false, guessed = false }: DescriptorGuess): Finding {
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
