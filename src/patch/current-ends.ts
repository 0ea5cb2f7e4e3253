import type { OpenFile } from "../descriptors/file.ts";
import { caution, type Finding } from "../finding.ts";
import { type Files, withDescriptions } from "../forest/files.ts";
import type { HostFiles } from "./binaries.ts";

/** The descriptors with offsets "at the end of file" replaced by the file's size now: images can only hold a number. */
export const withCurrentEnds = (files: Files, host: HostFiles, report: (finding: Finding) => void): Files =>
	withDescriptions(files, (description, number) =>
		description.kind === "file" && description.atEnd === true
			? atEndOf(description, host, number, report)
			: description,
	);

function atEndOf(file: OpenFile, host: HostFiles, number: number, report: (finding: Finding) => void): OpenFile {
	const { atEnd: _atEnd, ...rest } = file;
	const { path, position } = file;
	const size = host.sizeOf?.(path);
	const say = (text: string): void => report(caution("file-offset", `descriptor ${number} (${path})`, text));
	if (size === undefined) {
		say(`is not on this host: the images keep the donor's offset ${position}, and what was written behind it is lost`);
		return rest;
	}
	say(`the images have its end of now, ${size}: what is written to it until they are restored is written over`);
	return { ...rest, position: size };
}
