import { isDeepStrictEqual } from "node:util";
import type { ImageDir } from "../criu/image-dir.ts";
import type { FdinfoEntry, FileEntry } from "../criu/wire/generated/schema.ts";
import type { Finding } from "../finding.ts";
import { descriptorsIn, tableOf } from "./donor-descriptors.ts";
import { openRecords } from "./open-records.ts";
import { reportChangedForOthers } from "./others.ts";
import type { UnderstoodDead } from "./understood.ts";

/** What each has open, on top of what the donor's processes had: what several have is changed for all of them. */
export function patchedDescriptors(
	donor: ImageDir,
	deads: readonly UnderstoodDead[],
	report: (finding: Finding) => void,
): { readonly entries: readonly FileEntry[]; readonly tables: ReadonlyMap<string, readonly FdinfoEntry[]> } {
	let entries: readonly FileEntry[] = donor.image("files.img", "files").records.map(({ value }) => value);
	const tables = new Map<string, readonly FdinfoEntry[]>();
	for (const { task, donor: lender, donorPid } of deads) {
		const table = tableOf(donor, donorPid);
		const before = entries;
		const open = openRecords(
			{ entries, table: tables.get(table) ?? descriptorsIn(donor, table) },
			{
				...{ before: lender.files, after: task.files, report },
				credentials: task.threads[0]?.credentials ?? { uid: 0, euid: 0 },
			},
		);
		entries = open.entries;
		reportChangedForOthers(donor, deads, { pid: donorPid, before, after: entries }, report);
		if (donor.has(table) && !isDeepStrictEqual(open.table, descriptorsIn(donor, table))) tables.set(table, open.table);
	}
	return { entries, tables };
}
