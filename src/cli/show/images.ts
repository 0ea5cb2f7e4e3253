import { openImageDir } from "../../criu/image-dir.ts";
import { refuseUnfinished } from "../../criu/store/unfinished.ts";
import type { Terminal } from "../terminal.ts";
import { imagesJson } from "./images-json.ts";
import { imagesText } from "./images-text.ts";
import { viewOfImages } from "./images-view.ts";
import { jsonPieces } from "./json-stream.ts";
import type { ShowOptions } from "./options.ts";

/** Says what an image directory holds. */
export async function showImages(
	path: string,
	{ json, verbose, pid }: ShowOptions,
	{ outAll, paint }: Terminal,
): Promise<void> {
	refuseUnfinished(path);
	const dir = openImageDir(path);
	try {
		const view = viewOfImages(dir, pid);
		await outAll(json ? jsonPieces(imagesJson(view)) : imagesText(view, paint, verbose));
	} finally {
		dir.close();
	}
}
