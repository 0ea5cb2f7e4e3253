import { statSync } from "node:fs";
import { attempt } from "../../bytes/source.ts";
import type { Terminal } from "../terminal.ts";
import type { ShowOptions } from "./options.ts";

/**
 * `necromancer show PATH`: says what a core or an image directory holds. A directory is taken for images, anything else
 * for a core, compressed or not; `-` is standard input.
 *
 * @throws NecromancerError whatever is wrong with it; ERR_IMAGE_UNFINISHED for a directory between old and new.
 */
export async function show(path: string, options: ShowOptions, terminal: Terminal): Promise<void> {
	// loaded on demand: loading what reads images takes longer than showing a core
	if (path !== "-" && attempt(path, () => statSync(path, { throwIfNoEntry: false }))?.isDirectory() === true) {
		const { showImages } = await import("./images.ts");
		await showImages(path, options, terminal);
	} else {
		const { showCore } = await import("./core.ts");
		await showCore(path, options, terminal);
	}
}
