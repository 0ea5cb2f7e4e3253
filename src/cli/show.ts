import { statSync } from "node:fs";
import { attempt, openFile } from "../bytes/source.ts";
import { readCore } from "../core/core.ts";
import { refuseUnfinished } from "../criu/commit.ts";
import { openImageDir } from "../criu/image-dir.ts";
import { coreJson } from "./show/core-json.ts";
import { coreText } from "./show/core-text.ts";
import { viewOfCore } from "./show/core-view.ts";
import { imagesJson } from "./show/images-json.ts";
import { imagesText } from "./show/images-text.ts";
import { viewOfImages } from "./show/images-view.ts";
import { jsonText } from "./show/json.ts";
import type { Terminal } from "./terminal.ts";

export interface ShowOptions {
	readonly json: boolean;
	/** All registers, all mappings, whole command lines. JSON has them anyway. */
	readonly verbose: boolean;
	/** Which process of an image directory; all of them without. */
	readonly pid?: number;
}

/**
 * `necromancer show PATH`: says what a core or an image directory holds. A directory is taken for images, anything else
 * for a core.
 *
 * @throws NecromancerError whatever is wrong with it; ERR_IMAGE_UNFINISHED for a directory between old and new.
 */
export async function show(path: string, options: ShowOptions, { out, paint }: Terminal): Promise<void> {
	const { json, verbose, pid } = options;
	if (attempt(path, () => statSync(path, { throwIfNoEntry: false }))?.isDirectory() === true) {
		refuseUnfinished(path);
		const dir = openImageDir(path);
		try {
			const view = viewOfImages(dir, pid);
			out(json ? jsonText(imagesJson(view)) : imagesText(view, paint, verbose));
		} finally {
			dir.close();
		}
		return;
	}
	const source = openFile(path);
	try {
		const view = viewOfCore(readCore(source));
		out(json ? jsonText(coreJson(view)) : coreText(view, paint, verbose));
	} finally {
		source.close();
	}
}
