interface BreakableStream {
	on?(event: "error", listener: (cause: NodeJS.ErrnoException) => void): unknown;
}

/**
 * Listens for output that cannot be written. A reader that leaves early (`| head`) ends the output and is no error.
 *
 * @returns a function that gives the first other error, if there was one.
 */
export function watchOutput(streams: readonly BreakableStream[]): () => NodeJS.ErrnoException | undefined {
	let first: NodeJS.ErrnoException | undefined;
	for (const stream of streams)
		stream.on?.("error", (cause) => {
			if (cause.code !== "EPIPE") first ??= cause;
		});
	return () => first;
}
