const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs work that undoes itself when its signal is aborted, and aborts it when the user interrupts. The process then ends by
 * the signal that came, so that shells and scripts see what happened.
 */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
	const abort = new AbortController();
	let by: NodeJS.Signals | undefined;
	const interrupt = (signal: NodeJS.Signals): void => {
		by = signal;
		abort.abort();
	};
	for (const signal of signals) process.on(signal, interrupt);
	const restore = (): void => {
		for (const signal of signals) process.off(signal, interrupt);
	};
	try {
		return await work(abort.signal);
	} catch (error) {
		restore();
		if (by !== undefined) process.kill(process.pid, by);
		throw error;
	} finally {
		restore();
	}
}
