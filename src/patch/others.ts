import { isDeepStrictEqual } from "node:util";
import type { ImageDir } from "../criu/image-dir.ts";
import type { FileEntry } from "../criu/wire/generated/schema.ts";
import { caution, type Finding, note } from "../finding.ts";
import { isZombie, treeOf } from "../images/read/tree.ts";
import { descriptorsOf } from "./donor-descriptors.ts";
import type { Replacement } from "./identity.ts";

/** Says which processes of a donor come back although they did not die, and what that means. */
export function reportOthers(donor: ImageDir, deads: readonly Replacement[], report: (finding: Finding) => void): void {
	const replaced = new Set(deads.map(({ donorPid }) => donorPid));
	const others = treeOf(donor).flatMap(({ pid }) => (replaced.has(pid) ? [] : [pid]));
	const [living, ended] = [others.filter((pid) => !isZombie(donor, pid)), others.filter((pid) => isZombie(donor, pid))];
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
	const replaced = new Set(deads.map(({ donorPid }) => donorPid));
	const own = new Map(descriptorsOf(donor, change.pid).map(({ id, fd }) => [id, fd]));
	for (const { pid } of treeOf(donor)) {
		if (replaced.has(pid) || isZombie(donor, pid)) continue;
		for (const { id, fd } of descriptorsOf(donor, pid))
			if (changed.has(id) && own.has(id))
				report(
					caution(
						"others-from-donor",
						`descriptor ${fd} of process ${pid}`,
						`is descriptor ${own.get(id)} of a process that died, and is as that had it`,
					),
				);
	}
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
