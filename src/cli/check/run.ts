import { blob } from "../../agent/blob.ts";
import { probeHost } from "../../host/capabilities.ts";
import { jsonText } from "../json-text.ts";
import type { Terminal } from "../terminal.ts";
import { probeGdb } from "./gdb.ts";

/** `necromancer check`: what this host can do, tried out, and what is lost without it. */
export async function checkVerb(json: boolean, { out, paint }: Terminal): Promise<void> {
	const capabilities = [...(await probeHost()), await probeGdb(process.env["PATH"])];
	if (json) {
		out(jsonText({ schema: 1, kind: "check", blobSize: blob.bytes.length, capabilities }));
		return;
	}
	const width = capabilities.reduce((most, { name }) => Math.max(most, name.length), 0);
	for (const { name, ok, found, without } of capabilities) {
		const verdict = ok ? paint.green("yes") : paint.red("no ");
		out(
			`${verdict}  ${name.padEnd(width)}  ${ok ? (found ?? "") : `${found === undefined ? "" : `${found}; `}${without}`}`.trimEnd() +
				"\n",
		);
	}
	out(`the blob has ${blob.bytes.length} bytes\n`);
}
