import { isGone } from "../inputs/gone.ts";
import { hostFiles } from "../patch/host-files.ts";
import type { OpenObject } from "../task/program-objects.ts";
import type { FoundFiles } from "./mapped-files.ts";

/** Opens the files that were found while their symbols are read, by their paths here; nobody judges them again. */
export function withFoundObjects<T>({ verdicts }: Pick<FoundFiles, "verdicts">, use: (open: OpenObject) => T): T {
	const host = hostFiles();
	try {
		return use((path) => {
			const verdict = verdicts.get(path);
			if (verdict === undefined) return undefined;
			const file = host.open(path);
			return isGone(file) ? undefined : { source: file.source, verdict };
		});
	} finally {
		host.close();
	}
}
