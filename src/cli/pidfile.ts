import { openOutput } from "../bytes/output-file.ts";
import type { Restored } from "../restore/restore.ts";

/** Writes a process's id to a file. @throws NecromancerError ERR_IO, ERR_OWNER */
export function writePidfile(path: string, { pid }: Restored): void {
	const file = openOutput(path);
	try {
		file.write(`${pid}\n`);
	} finally {
		file.close();
	}
}

/**
 * Reports a restored process to the user, and kills it if that cannot be written: nobody would know of it.
 *
 * @throws whatever `tell` throws.
 */
export async function killUnlessTold(restored: Restored, tell: () => Promise<void>): Promise<void> {
	try {
		await tell();
	} catch (error) {
		await endRestored(restored);
		throw error;
	}
}

/** Ends a process of ours, if it has not ended by itself. */
export async function endRestored(restored: Restored): Promise<void> {
	await restored.kill();
	await restored.wait();
}
