import { type Directory, entryIn } from "../../bytes/directory.ts";
import { openDirectory } from "../../bytes/open-directory.ts";
import { refuse } from "../../errors.ts";
import { JOURNAL, STAGING } from "../own-names.ts";

/** Whether a directory holds a staging directory that has passed the moment that decides. */
export const isDecided = (directory: Directory): boolean =>
	entryIn(directory, STAGING)?.isDirectory() === true && entryIn(directory, `${STAGING}/${JOURNAL}`) !== undefined;

/**
 * For those who only read.
 *
 * @throws NecromancerError ERR_IMAGE_UNFINISHED when the files of a directory are partly old and partly new.
 */
export function refuseUnfinished(path: string): void {
	const directory = openDirectory(path);
	try {
		if (!isDecided(directory)) return;
	} finally {
		directory.close();
	}
	refuse("ERR_IMAGE_UNFINISHED", {
		subject: path,
		finding: "an earlier patch was cut short",
		expectation: "expected a finished image directory",
		remedy: "patch it again, which finishes the earlier one first",
	});
}
