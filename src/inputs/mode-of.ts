import { statSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";

const NOT_THERE: readonly string[] = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/**
 * st_mode of what a path of this host leads to; links are followed. `undefined` where nothing is.
 *
 * @throws NecromancerError ERR_IO.
 */
export function modeOf(path: string): number | undefined {
	// no file has such a name, and Node throws something else
	if (path.includes("\0")) return undefined;
	return attempt(path, () => {
		try {
			return statSync(Buffer.from(bytesFromText(path))).mode;
		} catch (error) {
			if (NOT_THERE.includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
			throw error;
		}
	});
}
