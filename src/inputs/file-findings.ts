import { caution, type Finding } from "../finding.ts";
import type { Different, Verdict } from "../forest/verdict.ts";
import type { WantedFile } from "./wanted-files.ts";

/** Where a file was found, if not under the path that the process had it by: " at /sysroot/lib/x". */
export const placeOf = (path: string, here: string): string => (path === here ? "" : ` at ${here}`);

/** What speaks against a file, in words: the same whoever asks. @param place {@link placeOf} */
export const differenceText = ({ finding, expectation }: Different, place = ""): string =>
	`${finding}${place}, ${expectation}`;

/** What would have to come from a file that is not here. */
export const absentText = ({ absent, mapped }: Pick<WantedFile, "absent" | "mapped">): string =>
	`expected it: ${absent} of ${mapped} bytes mapped of it are not in the core`;

/**
 * What cannot be known of a file that is taken for the one that was mapped.
 *
 * @param place {@link placeOf}
 * @param changed Whether it was written to after the process had died.
 */
export function doubtsAbout(path: string, verdict: Verdict, { place = "", changed = false } = {}): Finding[] {
	const doubt = doubtIn(verdict, place);
	if (doubt === undefined) return [];
	const findings = [
		// an older file proves nothing: a copied core has a later mtime than the death
		caution("file-unverified", path, changed ? `${doubt}; it was changed after the core was written` : doubt),
	];
	if (verdict.kind === "plausible" && verdict.short > 0n)
		findings.push(
			caution(
				"file-unverified",
				path,
				`the file${place} ends ${verdict.short} bytes before what was mapped of it: who goes there gets SIGBUS, unless the dead process would have`,
			),
		);
	return findings;
}

function doubtIn(verdict: Verdict, place: string): string | undefined {
	if (verdict.kind === "plausible")
		return `nothing in the core tells whether the file${place} is the one that was mapped`;
	// a page more makes no build-id of it
	if (verdict.kind === "same" && (verdict.proof === "first-page" || verdict.proof === "headers"))
		return `the file${place} has the same program headers, and the core has no build-id to tell more by`;
	return undefined;
}
