import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** File name → hash of its content. */
export const digests = (directory: string): Record<string, string> =>
	Object.fromEntries(
		readdirSync(directory)
			.sort()
			.map((file) => [file, digest(readFileSync(join(directory, file)))]),
	);

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** A directory as it lies on the disk: names, modes, inodes, times, content. */
export const fingerprint = (directory: string): string =>
	JSON.stringify([
		digests(directory),
		[".", ...readdirSync(directory).sort()].map((file) => {
			const { mode, ino, mtimeMs, ctimeMs, size } = statSync(join(directory, file));
			return [file, mode, ino, mtimeMs, ctimeMs, size];
		}),
	]);
