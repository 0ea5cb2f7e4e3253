import { statSync } from "node:fs";
import { openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { NecromancerError } from "../errors.ts";
import { S_IFMT, S_IFREG } from "../linux/fcntl.ts";
import type { MappedFile } from "../task/task.ts";

/** How files on this host look, by path. */
export const mappedFiles = (paths: Iterable<string>): ReadonlyMap<string, MappedFile> =>
	new Map([...new Set(paths)].map((path) => [path, looksOf(path)]));

function looksOf(path: string): MappedFile {
	const bytes = Buffer.from(bytesFromText(path));
	try {
		const { size, mode } = statSync(bytes, { bigint: true });
		const looks = { path, mode: Number(mode) };
		if ((Number(mode) & S_IFMT) !== S_IFREG) return looks;
		const buildId = buildIdAt(bytes, path);
		return { ...looks, size, ...(buildId === undefined ? {} : { buildId }) };
	} catch (cause) {
		if (cause instanceof NecromancerError) throw cause;
		return { path };
	}
}

/** What may be mapped need not be readable for us. */
function buildIdAt(bytes: Buffer, path: string): string | undefined {
	try {
		const source = openFile(bytes, path);
		try {
			return buildIdOfFile(source);
		} finally {
			source.close();
		}
	} catch (cause) {
		if (cause instanceof NecromancerError && cause.code !== "ERR_HOST") return undefined;
		throw cause;
	}
}
