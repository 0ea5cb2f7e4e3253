import { lengthOf, rangeAt } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import { sameBuildId } from "../criu/build-id.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { MappedFile } from "../task/file-identity.ts";
import type { Mapping, Memory } from "../task/task.ts";

/** How files on this host are reached. Paths in cores and images are hints: regular files only, opened for reading. */
export interface HostFiles {
	/** `undefined` where there is no regular file. */
	open(path: string): HostFile | undefined;
	/** Bytes of a regular file now, which may be written to meanwhile; `undefined` where there is none. */
	sizeOf?(path: string): bigint | undefined;
}

export interface HostFile {
	readonly source: ByteSource;
	/** st_mode. */
	readonly mode: number;
}

/** A file that the dead process had mapped, compared with this host's. */
export interface Binary {
	readonly expected: MappedFile;
	readonly here?: HostFile;
	/** Its bytes are known to be the dead process's: the build-ids are one. Pages equal to it need not be written. */
	readonly proven: boolean;
	/** It is another build, or has another size. */
	readonly different: boolean;
}

/**
 * Opens every mapped file and compares. Differences are findings, not errors: the images may be restored on another host,
 * and whoever restores them checks again.
 */
export function inspectBinaries(
	memory: Memory,
	host: HostFiles,
	report: (finding: Finding) => void,
): ReadonlyMap<string, Binary> {
	const binaries = new Map<string, Binary>();
	let absent: ReadonlyMap<string, bigint> | undefined;
	for (const [path, expected] of memory.files) {
		const here = host.open(path);
		if (here === undefined) {
			absent ??= bytesNotHeld(memory);
			report(missing(path, absent.get(path) ?? 0n));
			binaries.set(path, { expected, proven: false, different: false });
			continue;
		}
		const id = expected.buildId === undefined ? undefined : buildIdOfFile(here.source);
		const proven = id !== undefined && expected.buildId !== undefined && sameBuildId(id, expected.buildId);
		const resized = expected.buildId === undefined && expected.size !== undefined && expected.size !== here.source.size;
		const different = resized || (expected.buildId !== undefined && !proven);
		if (different)
			report(
				caution(
					"binary-differs",
					path,
					resized
						? `has ${here.source.size} bytes here, had ${expected.size}; restore where it has not changed`
						: `has build-id ${id ?? "none"} here, the dead process had ${expected.buildId}; restore where that build is installed`,
				),
			);
		binaries.set(path, { expected, here, proven, different });
	}
	return binaries;
}

/** Bytes of each mapped file that the core lacks, by path. */
function bytesNotHeld({ mappings, contents }: Memory): ReadonlyMap<string, bigint> {
	const absent = new Map<string, bigint>();
	const count = (mapping: Mapping | undefined, bytes: bigint): void => {
		if (mapping?.backing.kind !== "file") return;
		const { path } = mapping.backing;
		absent.set(path, (absent.get(path) ?? 0n) + bytes);
	};
	for (const mapping of mappings) count(mapping, lengthOf(mapping));
	for (const { start, length } of contents) count(rangeAt(mappings, start), -length);
	return absent;
}

function missing(path: string, absent: bigint): Finding {
	return absent === 0n
		? caution("binary-missing", path, "is not on this host; restore where it is")
		: loss(
				"binary-missing",
				path,
				`is not on this host and ${absent} bytes of it are not in the core; restore where it is`,
			);
}
