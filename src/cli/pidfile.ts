import { writeFileSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import type { Restored } from "../restore/restore.ts";

/**
 * Writes a process's id to a file. Whoever asks for that goes by it: where it cannot be written, the process ends.
 *
 * @throws NecromancerError ERR_IO.
 */
export async function writePidfile(path: string, restored: Restored): Promise<void> {
	try {
		attempt(path, () => writeFileSync(path, `${restored.pid}\n`));
	} catch (error) {
		await endRestored(restored);
		throw error;
	}
}

/** Ends a process of ours, if it has not ended by itself. */
export async function endRestored(restored: Restored): Promise<void> {
	try {
		process.kill(restored.pid, "SIGKILL");
	} catch {
		// it came to its end before
	}
	await restored.wait();
}
