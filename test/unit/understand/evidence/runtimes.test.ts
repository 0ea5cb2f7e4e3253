import { describe, expect, test } from "vitest";
import { asleepIn, deduced, told } from "../../../support/builders/deduced-core.ts";
import { changeSegment, deadCore, deadPlaces, P, withSegment } from "../../../support/builders/pair.ts";

const at = 0x7f10_0080_0000n;
const withLibrary = (path: string) =>
	withSegment(deadCore(), { start: at, end: at + P, prot: 5 }, { offset: 0n, path });

describe("a runtime that lives by its signal handlers", () => {
	test.each([
		["/usr/lib/jvm/java-17/lib/server/libjvm.so", /^loss the Java virtual machine: .*SIGSEGV.*SIGQUIT.*a donor \(-i\)/],
		["/usr/share/dotnet/libcoreclr.so", /^loss \.NET: /],
		["/usr/lib/libmonosgen-2.0.so.1", /^loss Mono: /],
		["/usr/bin/node", /^loss Node: SIGPIPE, which it ignored/],
		["/usr/lib/sbcl/sbcl", /^loss SBCL: without its handler of SIGSEGV/],
		["/usr/lib/libwasmtime.so", /^loss Wasmtime: /],
	])("is told by %s", (path, text) => {
		expect(told(deduced(withLibrary(path)), "runtime-handlers")).toEqual([expect.stringMatching(text)]);
	});

	test("is told of Go by the note of its linker", () => {
		const core = changeSegment(deadCore(), deadPlaces.exe, (segment) => {
			const bytes = Buffer.from(segment.bytes ?? []);
			bytes.write("\x04\0\0\0Go\0\0", 0x900, "latin1");
			return { ...segment, bytes };
		});
		expect(told(deduced(core), "runtime-handlers")).toEqual([expect.stringMatching(/^loss Go's runtime: /)]);
	});

	test("is not seen where there is none", () => {
		expect(told(deduced(withLibrary("/usr/lib/libjvmti-agent.so")), "runtime-handlers")).toEqual([]);
	});
});

describe("a stand-in that can never wake who waits for it", () => {
	const three = deadCore({ tids: [500, 501, 502] });
	const weights = (core: typeof three): string[] =>
		deduced(core)
			.findings.filter(({ code }) => code === "descriptor-deduced")
			.map(({ weight }) => weight);
	const [read, epollWait, poll] = [0, 232, 7];

	test("is a loss, where no timeout ends the wait", () => {
		expect(weights(asleepIn(three, 501, read, 9n, deadPlaces.heap, 100n))).toEqual(["loss"]);
		expect(weights(asleepIn(three, 501, epollWait, 9n, deadPlaces.heap, 4n, 0xffff_ffffn))).toEqual(["loss"]);
	});

	test("is a caution, where one does", () => {
		expect(weights(asleepIn(three, 501, epollWait, 9n, deadPlaces.heap, 4n, 100n))).toEqual(["caution"]);
	});

	test("is a caution, where its kind is a guess", () => {
		expect(weights(asleepIn(three, 501, read, 9n, deadPlaces.heap, 8n))).toEqual(["caution"]);
		expect(weights(asleepIn(three, 501, poll, deadPlaces.heap, 0n, 100n))).toEqual([]);
	});
});
