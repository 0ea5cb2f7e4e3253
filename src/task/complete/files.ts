import { O, O_ACCMODE } from "../../linux/open.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { Files, Task } from "../task.ts";

/** The donor's descriptors: a core knows none. Says what they are, and which offsets can only be wrong. */
export function completeFiles(donor: Task, report: (finding: Finding) => void): Files {
	const { descriptors } = donor.files;
	if (descriptors.length > 0)
		report(
			note(
				"files-from-donor",
				`${descriptors.length} descriptor${descriptors.length === 1 ? "" : "s"}`,
				descriptors.map(({ number, kind, path }) => `${number}: ${path ?? kind}`).join(", "),
			),
		);
	const seen = new Set<number>();
	for (const { number, description, kind, path, flags, position } of descriptors) {
		if (seen.has(description)) continue;
		seen.add(description);
		const writable = (flags & O_ACCMODE) !== O.RDONLY;
		if (kind === "file" && writable && (flags & O.APPEND) === 0 && position !== undefined && position > 0n)
			report(
				caution("file-offset", `descriptor ${number} (${path})`, `writes go on at the donor's offset ${position}`),
			);
	}
	return donor.files;
}
