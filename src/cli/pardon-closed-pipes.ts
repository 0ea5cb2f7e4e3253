interface Stream {
	on?(event: "error", listener: (cause: NodeJS.ErrnoException) => void): unknown;
}

/** A reader that leaves early (`| head`) ends the output and is no error; any other failure to write is thrown. */
export function pardonClosedPipes(streams: readonly Stream[]): void {
	for (const stream of streams)
		stream.on?.("error", (cause) => {
			if (cause.code !== "EPIPE") throw cause;
		});
}
