import { openFile } from "../../bytes/source.ts";
import { readCore } from "../../core/core.ts";
import type { ShowOptions } from "../show.ts";
import type { Terminal } from "../terminal.ts";
import { coreJson } from "./core-json.ts";
import { coreText } from "./core-text.ts";
import { viewOfCore } from "./core-view.ts";
import { jsonText } from "./json.ts";

/** Says what a core holds. */
export function showCore(path: string, { json, verbose }: ShowOptions, { out, paint }: Terminal): void {
	const source = openFile(path);
	try {
		const view = viewOfCore(readCore(source));
		out(json ? jsonText(coreJson(view)) : coreText(view, paint, verbose));
	} finally {
		source.close();
	}
}
