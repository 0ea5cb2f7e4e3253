import type { ByteSource } from "../bytes/source.ts";
import type { Gone, JudgedFile } from "../forest/verdict.ts";
import type { Expected } from "./expected.ts";
import { isGone } from "./gone.ts";
import { judge, openedFile } from "./judge.ts";

/**
 * The files of paths, each opened and judged once, when it is first asked for; whoever asks again gets the same file with the
 * same verdict.
 */
export function judgedFiles<F extends { readonly source: ByteSource; readonly mode?: number }>(
	open: (path: string) => F | Gone,
	expectedOf: (path: string) => Expected,
): (path: string) => (F & JudgedFile) | Gone {
	const judged = new Map<string, (F & JudgedFile) | Gone>();
	const judgeAt = (path: string): (F & JudgedFile) | Gone => {
		const file = open(path);
		return isGone(file) ? file : { ...file, verdict: judge(expectedOf(path), openedFile(file.source, file.mode)) };
	};
	return (path) => {
		const here = judged.get(path) ?? judgeAt(path);
		judged.set(path, here);
		return here;
	};
}
