import type { ByteSource } from "../bytes/source.ts";
import type { JudgedFile } from "../task/verdict.ts";
import type { Expected } from "./expected.ts";
import { judge, openedFile } from "./judge.ts";

/**
 * The files of paths, each opened and judged once, when it is first asked for; whoever asks again gets the same file with the
 * same verdict.
 *
 * @param open `undefined` where there is none.
 */
export function judgedFiles<F extends { readonly source: ByteSource; readonly mode?: number }>(
	open: (path: string) => F | undefined,
	expectedOf: (path: string) => Expected,
): (path: string) => (F & JudgedFile) | undefined {
	const judged = new Map<string, (F & JudgedFile) | undefined>();
	return (path) => {
		if (!judged.has(path)) {
			const file = open(path);
			judged.set(path, file && { ...file, verdict: judge(expectedOf(path), openedFile(file.source, file.mode)) });
		}
		return judged.get(path);
	};
}
