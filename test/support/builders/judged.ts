import type { ByteSource } from "../../../src/bytes/source.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import { isGone, NOT_HERE } from "../../../src/inputs/gone.ts";
import { judgedFiles } from "../../../src/inputs/judged-files.ts";
import { wantedFiles } from "../../../src/inputs/wanted-files.ts";
import type { OpenObject } from "../../../src/understand/evidence/program-objects.ts";

/** Files, judged by what a dead process's core tells of them. */
export function judgedFor(dead: PartialTask, open: (path: string) => ByteSource | undefined): OpenObject {
	const wanted = new Map(wantedFiles(dead).map((file) => [file.path, file]));
	const judged = judgedFiles(
		(path) => {
			const source = open(path);
			return source === undefined ? NOT_HERE : { source };
		},
		(path) => wanted.get(path) ?? {},
	);
	return (path) => {
		const here = judged(path);
		return isGone(here) ? undefined : here;
	};
}
