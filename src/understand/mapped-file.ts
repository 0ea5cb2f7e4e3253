import { defined } from "../bytes/defined.ts";
import { sameBuildId } from "../criu/build-id.ts";
import type { MappedFile } from "../forest/file-identity.ts";

/**
 * What to expect of a mapped file: the core's build-id first, then what the donor's images say of it. Of another build they say
 * nothing.
 */
export function mappedFileOf(path: string, own: string | undefined, donors: MappedFile | undefined): MappedFile {
	const { buildId: theirs } = donors ?? {};
	const another = own !== undefined && theirs !== undefined && !sameBuildId(own, theirs);
	const buildId = own ?? theirs;
	return { ...(another ? {} : donors), path, ...defined({ buildId }) };
}
