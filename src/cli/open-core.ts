import { defined } from "../bytes/defined.ts";
import { type OpenedCore, openCoreSource } from "../raise/open-core.ts";
import { untilInterrupted } from "./interrupt.ts";
import { openProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Opens a core, compressed or not; `-` is standard input. When interrupted while unpacking, nothing is left. */
export const openCore = (path: string, terminal: Terminal, maxSize?: bigint): Promise<OpenedCore> =>
	untilInterrupted((signal) => openCoreUntil(signal, path, terminal, maxSize));

/** The same for callers with their own clean-up on interruption. */
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
