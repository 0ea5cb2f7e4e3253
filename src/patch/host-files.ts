import { type BigIntStats, statSync } from "node:fs";
import { attempt, type ByteSource, openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { requireUnchanged } from "../bytes/unchanged.ts";
import { NecromancerError } from "../errors.ts";
import type { Gone } from "../forest/verdict.ts";
import { IRREGULAR, isGone, NOT_HERE, UNOPENED } from "../inputs/gone.ts";
import type { HostFile, HostFiles } from "./binaries.ts";

export interface OpenedFiles extends HostFiles {
	open(path: string): HostFile | Gone;
	/** @throws NecromancerError ERR_CHANGED where one of them has been written to, or replaced, since it was opened. */
	requireUnchanged(): void;
	close(): void;
}

/** This host's own files. Each path is opened once, for reading; nothing but regular files counts as there. */
export function hostFiles(): OpenedFiles {
	const opened = new Map<string, HostFile | Gone>();
	const open = (path: string): HostFile | Gone => {
		const source = openRegular(path);
		return isGone(source) ? source : { source, mode: source.mode ?? 0 };
	};
	return {
		open: (path) => {
			const here = opened.get(path) ?? open(path);
			opened.set(path, here);
			return here;
		},
		sizeOf: (path) => regularAt(path)?.size,
		ownerOf: (path) => {
			const stat = regularAt(path);
			return stat === undefined ? undefined : Number(stat.uid);
		},
		requireUnchanged: () =>
			requireUnchanged([...opened.values()].flatMap((file) => (isGone(file) ? [] : [file.source]))),
		close: () => {
			for (const file of opened.values()) if (!isGone(file)) file.source.close();
			opened.clear();
		},
	};
}

const regularAt = (path: string): BigIntStats | undefined =>
	attempt(path, () => {
		const stat = statSync(Buffer.from(bytesFromText(path)), { bigint: true, throwIfNoEntry: false });
		return stat?.isFile() === true ? stat : undefined;
	});

/** A file of a path that comes from a core or an image, or why no regular one can be opened. */
export function openRegular(path: string): ByteSource | Gone {
	try {
		const name = Buffer.from(bytesFromText(path));
		// opening a device may do something already
		const stat = attempt(path, () => statSync(name, { throwIfNoEntry: false }));
		if (stat === undefined) return NOT_HERE;
		return stat.isFile() ? openFile(name, path) : IRREGULAR;
	} catch (error) {
		if (error instanceof NecromancerError && error.code !== "ERR_HOST") return UNOPENED;
		throw error;
	}
}
