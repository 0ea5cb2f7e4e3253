import type { ByteSource } from "../../../src/bytes/source.ts";
import { openFile } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { writeNewDirectory } from "../../../src/criu/store/commit.ts";
import type { Finding } from "../../../src/finding.ts";
import type { HostFiles } from "../../../src/patch/binaries.ts";
import { hostFiles } from "../../../src/patch/host-files.ts";
import { type PatchOptions, patch } from "../../../src/patch/patch.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import { type ReadImages, readImages } from "../witness/image-reader.ts";
import { placeHere } from "../witness/witness.ts";

/** A host without any file. */
export const bareHost: HostFiles = { open: () => undefined };

/** This host, with the fixtures' programs where their processes had them. */
export const hostWithVictims = (): HostFiles & { close(): void } => {
	const host = hostFiles();
	return { open: (path) => host.open(placeHere(path)), close: host.close };
};

export interface PatchedImages {
	readonly findings: readonly Finding[];
	/** Each finding as `weight subject: text`. */
	readonly told: readonly string[];
	readonly images: ReadImages;
}

/** Patches by the public functions, into a new directory. */
export async function patchInto(
	core: ByteSource | string,
	donorPath: string,
	out: string,
	options: Partial<PatchOptions> = {},
): Promise<PatchedImages> {
	const source = typeof core === "string" ? openFile(core) : core;
	const donor = openImageDir(donorPath);
	try {
		const { draft, findings } = patch(taskFromCore(readCore(source)), donor, { host: bareHost, ...options });
		await writeNewDirectory(draft, donor, out);
		const told = findings.map(({ weight, subject, text }) => `${weight} ${subject}: ${text}`);
		return { findings, told, images: readImages(out) };
	} finally {
		donor.close();
		source.close();
	}
}
