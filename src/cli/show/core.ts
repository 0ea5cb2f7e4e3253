import { readAnyCore } from "../../core/core.ts";
import { openCore } from "../open-core.ts";
import type { Terminal } from "../terminal.ts";
import { coreJson } from "./core-json.ts";
import { coreText } from "./core-text.ts";
import { viewOfCore } from "./core-view.ts";
import { jsonPieces } from "./json-stream.ts";
import type { ShowOptions } from "./options.ts";

/** Says what a core holds. A compressed one is unpacked first. */
export async function showCore(
	path: string,
	{ json, verbose, maxSize }: ShowOptions,
	terminal: Terminal,
): Promise<void> {
	const core = await openCore(path, terminal, maxSize);
	try {
		const view = viewOfCore(readAnyCore(core.source));
		const pieces = json ? jsonPieces(coreJson(view)) : coreText(view, terminal.paint, verbose);
		await terminal.outAll(pieces);
	} finally {
		core.close();
	}
}
