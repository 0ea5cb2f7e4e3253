import { type Directory, entryIn } from "../../bytes/directory.ts";
import { openDirectory } from "../../bytes/open-directory.ts";
import { refuse } from "../../errors.ts";
import { JOURNAL, STAGING } from "../own-names.ts";

/** Whether a directory holds a staging directory with a journal: its patch must be finished, not undone. */
export const isDecided = (directory: Directory): boolean =>
	entryIn(directory, STAGING)?.isDirectory() === true && entryIn(directory, `${STAGING}/${JOURNAL}`) !== undefined;

/**
 * Refuses a half-patched directory, for readers.
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
