import type { OpenFile } from "../descriptors/file.ts";
import { caution, type Finding } from "../finding.ts";
import type { Files } from "../forest/files.ts";
import type { HostFiles } from "./binaries.ts";

/** The descriptors with offsets "at the end of file" replaced by the file's size now: images can only hold a number. */
export function withCurrentEnds(files: Files, host: HostFiles, report: (finding: Finding) => void): Files {
	const known = new Map<number, OpenFile>();
	const descriptors = files.descriptors.map((descriptor) => {
		const { number, description } = descriptor;
		if (description.kind !== "file" || description.atEnd !== true) return descriptor;
		const moved = known.get(description.id) ?? atEndOf(description, host, number, report);
		known.set(description.id, moved);
		return { ...descriptor, description: moved };
	});
	return { ...files, descriptors };
}

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
