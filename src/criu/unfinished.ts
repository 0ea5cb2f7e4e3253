import { join } from "node:path";
import { entryAt } from "../bytes/directory.ts";
import { refuse } from "../errors.ts";
import { JOURNAL, STAGING } from "./own-names.ts";

/** Whether a staging directory has passed the moment that decides. */
export const hasJournal = (staging: string): boolean => entryAt(join(staging, JOURNAL)) !== undefined;

/**
 * For those who only read.
 *
 * @throws NecromancerError ERR_IMAGE_UNFINISHED when the files of a directory are partly old and partly new.
 */
export function refuseUnfinished(directory: string): void {
	if (!hasJournal(join(directory, STAGING))) return;
	refuse("ERR_IMAGE_UNFINISHED", {
		subject: directory,
		finding: "an earlier patch was cut short",
		expectation: "expected a finished image directory",
		remedy: "patch it again, which finishes the earlier one first",
	});
}
