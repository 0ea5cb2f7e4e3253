import type { FileWriters } from "../bytes/source.ts";
import { refuse, refuseAll } from "../errors.ts";
import { caution, type Finding } from "../finding.ts";
import { type Forest, mapForest } from "../forest/forest.ts";
import type { Limit, Task } from "../forest/task.ts";
import { NOBODY } from "../linux/credentials.ts";
import { authorsOf, authorsText, loneAuthor, rightsBeyond } from "./authors.ts";
import type { OurRights } from "./privilege.ts";
import { withinMeans } from "./within-rights.ts";

export interface ImageRightsQuestion {
	/** What messages call the images. */
	readonly name: string;
	/**
	 * Who can have written them: by owner and mode of the directory and of each file that was read, and the sources that they
	 * name.
	 */
	readonly writers: readonly FileWriters[];
	readonly us: OurRights;
	/** Believe the images, whoever wrote them (--trust). */
	readonly trust: boolean;
	/** It is to run, not to wait stopped. */
	readonly runs: boolean;
	/** Whether nobody but that user is in that group. */
	readonly alone: (uid: number, gid: number) => boolean;
	/** All groups of a user. */
	readonly groupsOf: (uid: number) => readonly number[];
	/** Our own limits, by RLIMIT_ number. */
	readonly limits: readonly Limit[];
}

/**
 * Processes from images, limited to the rights of those who can have written them, since they decide what runs, and as whom.
 * Root's own images are believed. With a chosen root directory or bounding set a set-user-ID program could be misused, so such
 * a process gets no_new_privs.
 *
 * @returns the processes, with what their user could not have had taken out, as the findings say.
 * @throws NecromancerError ERR_UNTRUSTED for users, groups and capabilities beyond the owner's, for images that several can
 *   have written, and for others' images that would run with our own rights because we cannot lower them.
 */
export function imageRights(
	forest: Forest,
	question: ImageRightsQuestion,
): { readonly forest: Forest; readonly findings: readonly Finding[] } {
	const { name, writers, us, trust, runs, alone, groupsOf, limits } = question;
	const authors = authorsOf(writers, alone);
	if (trust || (authors.uids.length === 0 && !authors.shared)) return { forest, findings: [] };
	const lone = loneAuthor(authors);
	const foreign = (): never =>
		refuse("ERR_UNTRUSTED", {
			subject: name,
			finding: `can have been written by ${authorsText(authors)}, and what runs would have the rights of uid ${us.uid}`,
			expectation: "expected images of our own",
			remedy: `leave it stopped, or ${TRUST}`,
		});
	if (us.capabilities === 0n) {
		// we cannot change ids, so it would run with our rights: the images must be ours
		if (runs && lone !== us.uid) foreign();
		return { forest: mapForest(forest, withoutIdentities), findings: [] };
	}
	if (lone === undefined)
		return refuse("ERR_UNTRUSTED", {
			subject: name,
			finding: `can have been written by ${authorsText(authors)}`,
			expectation: "expected one user, and nobody besides",
			remedy: `take the write permission away from others, or ${TRUST}`,
		});
	const groups = groupsOf(lone);
	if (runs && !us.mayBecome(lone, groups[0] ?? us.gid)) foreign();
	const threads = forest.processes.flatMap((task) => task.threads);
	const faults = threads.flatMap(({ tid, credentials }) => {
		const beyond = rightsBeyond(credentials, lone, groups);
		return beyond.length === 0
			? []
			: [
					{
						subject: `thread ${tid}`,
						finding: `has ${beyond.join(", ")}`,
						expectation: `expected no more than uid ${lone} has, whose ${name} is`,
					},
				];
	});
	if (faults.length > 0) refuseAll("ERR_UNTRUSTED", "threads", faults, TRUST);
	const findings: Finding[] = [];
	const modest = mapForest(forest, (task) => {
		const within = withinMeans(task, { reader: { uid: lone, gid: groups[0] ?? NOBODY }, limits });
		const closed = gainingNothing(within.task, lone, name);
		findings.push(...within.findings, ...closed.findings);
		return withoutIdentities(closed.task);
	});
	return { forest: modest, findings };
}

const TRUST = "give --trust if you would run what they say as whom they say";

/**
 * Sets no_new_privs where the root directory is another user's. folklore: a set-user-ID program outside of it, reached by an fd
 * or the working directory, gets its ELF interpreter from inside (load_elf_binary, fs/binfmt_elf.c), which then runs as root.
 */
function gainingNothing(task: Task, uid: number, name: string): { readonly task: Task; readonly findings: Finding[] } {
	const { threads, identity } = task;
	if (threads.every(({ credentials }) => credentials.noNewPrivileges)) return { task, findings: [] };
	const closed = threads.map((thread) => ({
		...thread,
		credentials: { ...thread.credentials, noNewPrivileges: true },
	}));
	const text = `gets no_new_privs, as ${name} is uid ${uid}'s: what it executes gains nothing by set-user-ID bits or file capabilities; --trust leaves that out`;
	return { task: { ...task, threads: closed }, findings: [caution("credentials", `process ${identity.pid}`, text)] };
}

/** Without file identities: only root's images can prove them. */
const withoutIdentities = (task: Task): Task => {
	const { identities: _said, ...files } = task.files;
	return { ...task, files };
};
