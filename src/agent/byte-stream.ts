import type { Duplex } from "node:stream";

/** A stream of bytes that is read by exact counts. */
export interface ByteStream {
	/** The next `count` bytes; `undefined` when the other side is gone before. */
	take(count: number): Promise<Buffer | undefined>;
	/** Bytes are sent in order; when the other side is gone they go nowhere. */
	send(bytes: Uint8Array): void;
	close(): void;
}

interface Waiting {
	readonly count: number;
	readonly done: (bytes: Buffer | undefined) => void;
}

export function byteStream(socket: Duplex): ByteStream {
	const waiting: Waiting[] = [];
	let chunks: Buffer[] = [];
	let held = 0;
	let ended = false;
	const serve = (): void => {
		for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
			if (held < first.count && !ended) return;
			waiting.shift();
			if (held < first.count) [chunks, held] = [[], 0];
			first.done(held < first.count ? undefined : cut(first.count));
		}
	};
	const cut = (count: number): Buffer => {
		const all = chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
		chunks = all.length > count ? [all.subarray(count)] : [];
		held -= count;
		return all.subarray(0, count);
	};
	const end = (): void => {
		ended = true;
		serve();
	};
	socket.on("data", (chunk: Buffer) => {
		chunks.push(chunk);
		held += chunk.length;
		serve();
	});
	// The other side has died: pending reads end here; why it died is reported by its owner.
	socket.on("error", end);
	socket.on("close", end);
	socket.on("end", end);
	return {
		take: (count) =>
			new Promise((done) => {
				waiting.push({ count, done });
				serve();
			}),
		send: (bytes) => {
			if (!ended) socket.write(bytes);
		},
		close: () => void socket.destroy(),
	};
}
