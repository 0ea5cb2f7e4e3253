import { closeSync, fstatSync, openSync } from "node:fs";
import { defined } from "../bytes/defined.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { attempt, O_PATH, openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { NecromancerError } from "../errors.ts";
import type { MappedFile } from "../forest/file-identity.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";

/** A file of a process, and its link in /proc, which leads to it even if it was renamed or unlinked. */
export interface ReachedFile {
	readonly path: string;
	readonly link: string;
}

/**
 * Size, mode and build-id of the files that a process has mapped, by path. Where the link may not be followed (map_files takes
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN), they are opened by name: without those capabilities that gives access to nothing
 * new.
 *
 * @throws NecromancerError ERR_HOST
 */
export function mappedFiles(files: Iterable<ReachedFile>): ReadonlyMap<string, MappedFile> {
	const looks = new Map<string, MappedFile>();
	for (const file of files) if (!looks.has(file.path)) looks.set(file.path, looksOf(file));
	return looks;
}

function looksOf({ path, link }: ReachedFile): MappedFile {
	const at = opened(link, path) ?? opened(bytesFromText(path), path);
	if (at === undefined) return { path };
	try {
		const { size, mode } = attempt(path, () => fstatSync(at, { bigint: true }));
		const looks = { path, mode: Number(mode) };
		if ((Number(mode) & S_IFMT) !== S_IFREG) return looks;
		const buildId = buildIdAt(at, path);
		return { ...looks, size, ...defined({ buildId }) };
	} finally {
		closeSync(at);
	}
}

function opened(place: string | Uint8Array, path: string): number | undefined {
	return orNothing(() => attempt(path, () => openSync(typeof place === "string" ? place : Buffer.from(place), O_PATH)));
}

/** What may be mapped need not be readable for us. */
function buildIdAt(at: number, path: string): string | undefined {
	return orNothing(() => {
		const source = openFile(pathOfDescriptor(at), path);
		try {
			return buildIdOfFile(source);
		} finally {
			source.close();
		}
	});
}

function orNothing<T>(look: () => T): T | undefined {
	try {
		return look();
	} catch (cause) {
		if (cause instanceof NecromancerError && cause.code !== "ERR_HOST") return undefined;
		throw cause;
	}
}
