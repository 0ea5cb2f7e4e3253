import { statSync } from "node:fs";
import { attempt, type ByteSource, openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { requireUnchanged } from "../bytes/unchanged.ts";
import { NecromancerError } from "../errors.ts";
import type { HostFile, HostFiles } from "./binaries.ts";

export interface OpenedFiles extends HostFiles {
	/** @throws NecromancerError ERR_CHANGED where one of them has been written to, or replaced, since it was opened. */
	requireUnchanged(): void;
	close(): void;
}

/** This host's own files. Each path is opened once, for reading; nothing but regular files counts as there. */
export function hostFiles(): OpenedFiles {
	const opened = new Map<string, HostFile | undefined>();
	return {
		open: (path) => {
			if (!opened.has(path)) {
				const source = openRegular(path);
				opened.set(path, source && { source, mode: source.mode ?? 0 });
			}
			return opened.get(path);
		},
		sizeOf: (path) =>
			attempt(path, () => {
				const stat = statSync(Buffer.from(bytesFromText(path)), { bigint: true, throwIfNoEntry: false });
				return stat?.isFile() === true ? stat.size : undefined;
			}),
		requireUnchanged: () => requireUnchanged([...opened.values()].flatMap((file) => file?.source ?? [])),
		close: () => {
			for (const file of opened.values()) file?.source.close();
			opened.clear();
		},
	};
}

/** A file of a path that comes from a core or an image; `undefined` where no regular one can be opened. */
export function openRegular(path: string): ByteSource | undefined {
	try {
		const name = Buffer.from(bytesFromText(path));
		// opening a device may do something already
		if (attempt(path, () => statSync(name, { throwIfNoEntry: false }))?.isFile() !== true) return undefined;
		return openFile(name, path);
	} catch (error) {
		if (error instanceof NecromancerError && error.code !== "ERR_HOST") return undefined;
		throw error;
	}
}
