import { Duplex } from "node:stream";
import { describe, expect, it } from "vitest";
import { byteStream } from "../../../src/agent/byte-stream.ts";

/** A socket whose other side is the test. */
function socket(): { duplex: Duplex; sent: Buffer[] } {
	const sent: Buffer[] = [];
	const duplex = new Duplex({
		read: () => {},
		write: (chunk: Buffer, _encoding, done) => {
			sent.push(chunk);
			done();
		},
	});
	return { duplex, sent };
}

describe("byteStream", () => {
	it("gives exact counts, however the bytes come", async () => {
		const { duplex } = socket();
		const stream = byteStream(duplex);
		const taken = Promise.all([stream.take(2), stream.take(0), stream.take(5), stream.take(1)]);
		for (const piece of ["a", "bcd", "", "ef", "ghi"]) duplex.push(piece);
		expect((await taken).map((bytes) => bytes?.toString())).toEqual(["ab", "", "cdefg", "h"]);
		expect((await stream.take(1))?.toString()).toBe("i");
	});

	it("tells everyone who waits when the other side is gone, and gives no pieces", async () => {
		const { duplex } = socket();
		const stream = byteStream(duplex);
		const taken = Promise.all([stream.take(1), stream.take(3), stream.take(1)]);
		duplex.push("xyz");
		duplex.push(null);
		expect((await taken).map((bytes) => bytes?.toString())).toEqual(["x", undefined, undefined]);
		expect(await stream.take(9)).toBeUndefined();
	});

	it("sends nothing more after an error", async () => {
		const { duplex, sent } = socket();
		const stream = byteStream(duplex);
		stream.send(Buffer.from("1"));
		const taken = stream.take(1);
		duplex.destroy(new Error("EPIPE"));
		expect(await taken).toBeUndefined();
		stream.send(Buffer.from("2"));
		expect(sent.map(String)).toEqual(["1"]);
	});
});
