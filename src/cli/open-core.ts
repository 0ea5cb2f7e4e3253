import { defined } from "../bytes/defined.ts";
import { type OpenedCore, openCoreSource } from "../raise/open-core.ts";
import { untilInterrupted } from "./interrupt.ts";
import { openProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** A core as it is found; `-` is standard input. Interrupted while it is unpacked, nothing of it stays. */
export const openCore = (path: string, terminal: Terminal, maxSize?: bigint): Promise<OpenedCore> =>
	untilInterrupted((signal) => openCoreUntil(signal, path, terminal, maxSize));

/** The same for those who have more to undo than that when they are interrupted. */
export const openCoreUntil = (
	signal: AbortSignal,
	path: string,
	terminal: Terminal,
	maxSize?: bigint,
): Promise<OpenedCore> =>
	openCoreSource(path, {
		...defined({ maxSize }),
		signal,
		progress: (total) => openProgress(terminal, total),
	});
