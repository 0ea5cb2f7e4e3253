import { sameBuildId } from "../../criu/build-id.ts";
import { refuse } from "../../errors.ts";
import { commandLineOf } from "../../forest/command-line.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Task } from "../../forest/task.ts";

/** A process that died, and which of the donor's it was, where the user says so. */
export interface Dead {
	readonly task: PartialTask;
	readonly donorPid?: number;
}

/** A process of the donor, as far as it tells which one died. */
export type Member = Pick<Task, "identity" | "memory">;

/**
 * Finds which process of a donor each core belongs to: the one the user names, the only one there is, the one that has the core's
 * id and program; of those of its program that are left, the one that alone has its command line and name, and its place among the
 * others: below or above a process that is known, leader of its session and group. Nothing is guessed from order: workers that
 * are alike in all of these are for the user to tell apart.
 *
 * @param donor Its living processes.
 * @param images What messages call the donor.
 * @returns in the order of the dead, each another one.
 * @throws NecromancerError ERR_DONOR_AMBIGUOUS, ERR_DONOR_MISMATCH, ERR_IMAGE_MISSING.
 */
export function pairProcesses<M extends Member>(
	deads: readonly Dead[],
	donor: readonly M[],
	images: string,
): readonly M[] {
	const pairs = new Map<Dead, M>();
	const claim = (dead: Dead, member: M): void => {
		const other = [...pairs].find(([, taken]) => taken === member)?.[0];
		if (other !== undefined)
			refuse("ERR_DONOR_AMBIGUOUS", {
				subject: images,
				finding: `its process ${member.identity.pid} would be both ${other.task.name} and ${dead.task.name}`,
				expectation: "expected each core to be another process",
				remedy: choice(deads),
			});
		pairs.set(dead, member);
	};
	for (const dead of deads) {
		if (dead.donorPid !== undefined) claim(dead, named(dead.donorPid, donor, images));
		else if (deads.length === 1 && donor.length === 1 && donor[0] !== undefined) claim(dead, donor[0]);
	}
	for (const dead of deads) {
		const same = pairs.has(dead) ? undefined : donor.find((member) => member.identity.pid === dead.task.pid);
		if (same !== undefined && isProgram(dead.task, same)) claim(dead, same);
	}
	// whoever is found may be the parent by which another is found
	for (let found = true; found; ) {
		found = false;
		for (const dead of deads) {
			const [only, ...others] = pairs.has(dead) ? [] : candidatesFor(dead, donor, pairs);
			if (only === undefined || others.length > 0) continue;
			claim(dead, only);
			found = true;
		}
	}
	return deads.map((dead) => pairs.get(dead) ?? refuseDoubtful(dead, deads, donor, pairs, images));
}

function named<M extends Member>(pid: number, donor: readonly M[], images: string): M {
	const member = donor.find(({ identity }) => identity.pid === pid);
	if (member !== undefined) return member;
	return refuse("ERR_IMAGE_MISSING", {
		subject: images,
		finding: `has no process ${pid}`,
		expectation: `only ${donor.map(({ identity }) => identity.pid).join(", ")}`,
		remedy: "choose one with --donor-pid",
	});
}

/** Another build of it too: see same-program.ts, which refuses one. */
function isProgram({ memory: own }: PartialTask, { memory: theirs }: Member): boolean {
	if (own.executable === theirs.executable) return true;
	const [id, theirId] = [own.buildIds.get(own.executable), theirs.files.get(theirs.executable)?.buildId];
	return id !== undefined && theirId !== undefined && sameBuildId(id, theirId);
}

/** Those that nothing tells from it; each kind of evidence counts where it speaks for some of them. */
function candidatesFor<M extends Member>({ task }: Dead, donor: readonly M[], pairs: ReadonlyMap<Dead, M>): M[] {
	const taken = new Set<Member>(pairs.values());
	const free = donor.filter((member) => !taken.has(member) && isProgram(task, member));
	return evidence(task, pairs).reduce((left, speaksFor) => {
		const fit = left.length < 2 ? [] : left.filter(speaksFor);
		return fit.length === 0 ? left : fit;
	}, free);
}

function evidence(task: PartialTask, pairs: ReadonlyMap<Dead, Member>): readonly ((member: Member) => boolean)[] {
	const { pid, ppid, sid, pgid, comm, memory } = task;
	const argv = memory.stack.kind === "unknown" ? undefined : memory.stack.argv.join("\0");
	const known = new Map([...pairs].map(([dead, member]) => [dead.task.pid, member.identity.pid]));
	const parent = ppid === undefined ? undefined : (known.get(ppid) ?? ppid);
	const children = new Set(
		[...pairs].flatMap(([dead, { identity }]) => (dead.task.ppid === pid ? [identity.ppid] : [])),
	);
	const leads = (id: number | undefined, own: number): boolean | undefined =>
		id === undefined ? undefined : id === own;
	const [session, group] = [leads(sid, pid), leads(pgid, pid)];
	return [
		(member) => argv !== undefined && commandLineOf(member.memory).join("\0") === argv,
		({ identity }) => identity.comm === comm,
		({ identity }) => identity.ppid === parent,
		({ identity }) => children.has(identity.pid),
		({ identity }) => leads(identity.sid, identity.pid) === session,
		({ identity }) => leads(identity.pgid, identity.pid) === group,
	];
}

const choice = (deads: readonly Dead[]): string =>
	deads.length === 1 ? "choose one with --donor-pid" : "choose with --donor-pid CORE=PID";

function refuseDoubtful<M extends Member>(
	dead: Dead,
	deads: readonly Dead[],
	donor: readonly M[],
	pairs: ReadonlyMap<Dead, M>,
	images: string,
): never {
	const candidates = candidatesFor(dead, donor, pairs);
	const text = (members: readonly Member[]): string =>
		members.map(({ identity: { pid, comm } }) => `${pid} ${comm}`).join(", ");
	if (candidates.length > 0)
		return refuse("ERR_DONOR_AMBIGUOUS", {
			subject: images,
			finding: `holds ${candidates.length} processes that ${dead.task.name} may have been (${text(candidates)})`,
			expectation: "expected one of its id, or one that alone is like it",
			remedy: choice(deads),
		});
	const { executable } = dead.task.memory;
	return refuse("ERR_DONOR_MISMATCH", {
		subject: dead.task.name,
		finding: `is of ${executable}`,
		expectation: `but the donor's processes are ${donor.map(({ identity: { pid }, memory }) => `${pid} of ${memory.executable}`).join(", ")}`,
		remedy: "dump a donor of the same program",
	});
}
