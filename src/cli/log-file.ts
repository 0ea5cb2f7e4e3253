import { openOutput } from "../bytes/output-file.ts";
import { NecromancerError } from "../errors.ts";
import { refusalText } from "./failure.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/**
 * Runs a command whose messages go to a file instead of stderr; why it is refused goes there, too.
 *
 * @throws NecromancerError ERR_IO, ERR_OWNER when the file cannot be written, and whatever the command throws.
 */
export async function logged<T>(file: string, run: (terminal: Terminal) => Promise<T>): Promise<T> {
	const log = openOutput(file);
	const write = (text: string, done?: () => void): void => {
		log.write(text);
		done?.();
	};
	try {
		return await run(openTerminal({ stdout: process.stdout, stderr: { write }, env: process.env }));
	} catch (error) {
		if (error instanceof NecromancerError) attemptTo(() => log.write(refusalText(error)));
		throw error;
	} finally {
		log.close();
	}
}

/** Ignores errors: the message goes to stderr too. */
function attemptTo(write: () => void): void {
	try {
		write();
	} catch (error) {
		if (!(error instanceof NecromancerError)) throw error;
	}
}
