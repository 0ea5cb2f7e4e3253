import { openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { NecromancerError } from "../errors.ts";
import type { HostFile, HostFiles } from "./binaries.ts";

export interface OpenedFiles extends HostFiles {
	close(): void;
}

/** This host's own files. Each path is opened once, for reading; nothing but regular files counts as there. */
export function hostFiles(): OpenedFiles {
	const opened = new Map<string, HostFile | undefined>();
	return {
		open: (path) => {
			if (!opened.has(path)) opened.set(path, tryOpen(path));
			return opened.get(path);
		},
		close: () => {
			for (const file of opened.values()) file?.source.close();
			opened.clear();
		},
	};
}

function tryOpen(path: string): HostFile | undefined {
	try {
		const source = openFile(Buffer.from(bytesFromText(path)), path);
		return { source, mode: source.mode ?? 0 };
	} catch (error) {
		if (error instanceof NecromancerError) return undefined;
		throw error;
	}
}
