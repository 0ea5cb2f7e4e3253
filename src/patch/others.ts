import { isDeepStrictEqual } from "node:util";
import type { ImageDir } from "../criu/image-dir.ts";
import type { FileEntry } from "../criu/wire/generated/schema.ts";
import { caution, type Finding, note } from "../finding.ts";
import { isZombie, treeOf } from "../images/read/tree.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { HostFiles } from "./binaries.ts";
import { descriptorsOf } from "./donor-descriptors.ts";
import type { Replacement } from "./identity.ts";

/** Says which processes of a donor come back although they did not die, and what that means. */
export function reportOthers(donor: ImageDir, deads: readonly Replacement[], report: (finding: Finding) => void): void {
	const replaced = new Set(deads.map(({ donorPid }) => donorPid));
	const living = livingOthers(donor, deads);
	const ended = treeOf(donor).flatMap(({ pid }) => (replaced.has(pid) || living.includes(pid) ? [] : [pid]));
	if (living.length > 0)
		report(
			caution(
				"others-from-donor",
				processesText(living),
				`${living.length === 1 ? "is" : "are"} as the donor had ${living.length === 1 ? "it" : "them"}, at another time: what is shared with the dead (files and their offsets, what waits in pipes) is the donor's, and what they know of the dead is older`,
			),
		);
	if (ended.length > 0)
		report(note("others-from-donor", processesText(ended), "had ended in the donor, and nobody had waited for it"));
}

const MOST_NAMED = 8;

const processesText = (pids: readonly number[]): string => {
	const more = pids.length > MOST_NAMED ? ` and ${pids.length - MOST_NAMED} more` : "";
	return `process${pids.length === 1 ? "" : "es"} ${pids.slice(0, MOST_NAMED).join(", ")}${more}`;
};

/** Says which open files of a dead process are changed for others that have them too. */
export function reportChangedForOthers(
	donor: ImageDir,
	deads: readonly Replacement[],
	change: { readonly pid: number; readonly before: readonly FileEntry[]; readonly after: readonly FileEntry[] },
	report: (finding: Finding) => void,
): void {
	const after = new Map(change.after.map((entry) => [entry.id, entry]));
	const changed = new Set(
		change.before.filter((entry) => !isDeepStrictEqual(after.get(entry.id), entry)).map(({ id }) => id),
	);
	if (changed.size === 0) return;
	const own = new Map<number, number>();
	for (const { id, fd } of descriptorsOf(donor, change.pid)) if (changed.has(id) && !own.has(id)) own.set(id, fd);
	const others = livingOthers(donor, deads).map((pid) => ({
		pid,
		ids: new Set(descriptorsOf(donor, pid).map(({ id }) => id)),
	}));
	for (const [id, fd] of own) {
		const pids = others.flatMap(({ pid, ids }) => (ids.has(id) ? [pid] : []));
		if (pids.length > 0)
			report(
				caution(
					"others-from-donor",
					`descriptor ${fd}`,
					`of the dead is also one of ${processesText(pids)}, and is for all of them as the dead process has it`,
				),
			);
	}
}

/**
 * File entries of those that did not die, without the sizes of files that are open for writing and have another one by now: CRIU and
 * we refuse those. They went on writing after the donor was dumped.
 */
export function withSizesOfNow(
	entries: readonly FileEntry[],
	donor: ImageDir,
	deads: readonly Replacement[],
	{ sizeOf }: Pick<HostFiles, "sizeOf">,
	report: (finding: Finding) => void,
): readonly FileEntry[] {
	const holders = new Map<number, { readonly pid: number; readonly fd: number }>();
	for (const pid of livingOthers(donor, deads))
		for (const { id, fd } of descriptorsOf(donor, pid)) if (!holders.has(id)) holders.set(id, { pid, fd });
	return entries.map((entry) => {
		const { id, reg } = entry;
		const holder = holders.get(id);
		if (holder === undefined || reg?.size === undefined || (reg.flags & O_ACCMODE) === O.RDONLY) return entry;
		const now = sizeOf?.(reg.name);
		if (now === undefined || now === reg.size) return entry;
		const at = (reg.flags & O.APPEND) !== 0 ? "writes go on at its end" : `they go on at the donor's offset ${reg.pos}`;
		report(
			caution(
				"file-offset",
				`descriptor ${holder.fd} of process ${holder.pid} (${reg.name})`,
				`had ${reg.size} bytes in the donor and has ${now} now; ${at}`,
			),
		);
		const { size: _size, ...rest } = reg;
		return { ...entry, reg: rest };
	});
}

function livingOthers(donor: ImageDir, deads: readonly Replacement[]): readonly number[] {
	const replaced = new Set(deads.map(({ donorPid }) => donorPid));
	return treeOf(donor).flatMap(({ pid }) => (replaced.has(pid) || isZombie(donor, pid) ? [] : [pid]));
}

/** Reports data queued in the donor's pipes and sockets: it was never sent to the dead process. */
export function reportQueuedData(donor: ImageDir, report: (finding: Finding) => void): void {
	for (const kind of ["pipes-data", "fifo-data"] as const) {
		if (!donor.has(`${kind}.img`)) continue;
		for (const { value } of donor.image(`${kind}.img`, kind).records)
			if (value.bytes > 0)
				report(caution("queued-data", `pipe ${value.pipe_id}`, `holds ${value.bytes} bytes of the donor's`));
	}
	if (donor.has("sk-queues.img"))
		for (const { value } of donor.image("sk-queues.img", "sk-queues").records)
			report(
				caution("queued-data", `socket file ${value.id_for}`, `holds a packet of ${value.length} bytes of the donor's`),
			);
}
