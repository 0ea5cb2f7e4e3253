import type { OpenFiles } from "../inputs/open-files.ts";
import type { OpenObject } from "../understand/evidence/program-objects.ts";
import type { FoundFiles } from "./mapped-files.ts";

/** The mapped files that were found, by their paths here, for those who read symbols and code: nobody opens or judges them again. */
export const objectsIn =
	(files: OpenFiles, { verdicts }: Pick<FoundFiles, "verdicts">): OpenObject =>
	(path) => {
		const [verdict, node] = [verdicts.get(path), files.at(path)];
		return verdict && node && { verdict, source: files.content(node, path) };
	};
