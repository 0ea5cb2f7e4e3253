import { closeSync, openSync, writeSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import { NecromancerError } from "../errors.ts";
import { refusalText } from "./failure.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/**
 * Runs a command whose messages go to a file instead of stderr; why it is refused goes there, too.
 *
 * @throws NecromancerError ERR_IO when the file cannot be written, and whatever the command throws.
 */
export async function logged<T>(file: string, run: (terminal: Terminal) => Promise<T>): Promise<T> {
	const fd = attempt(file, () => openSync(file, "w"));
	const write = (text: string): void => void attempt(file, () => writeSync(fd, text));
	try {
		return await run(openTerminal({ stdout: process.stdout, stderr: { write }, env: process.env }));
	} catch (error) {
		if (error instanceof NecromancerError) write(refusalText(error));
		throw error;
	} finally {
		closeSync(fd);
	}
}
