import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { address } from "../../src/bytes/address.ts";
import { withAgent } from "../../src/host/facts.ts";
import { pagesByPagemap, type TouchedRange, touchedPages } from "../../src/trace/page-scan.ts";

// The pages of a living process, by the call that newer kernels have and by the file that all have.

const children: ChildProcess[] = [];
afterEach(() => {
	for (const child of children.splice(0)) child.kill("SIGKILL");
});

const numbers = (ranges: readonly TouchedRange[], wanted: (range: TouchedRange) => boolean): bigint[] =>
	ranges
		.filter(wanted)
		.flatMap(({ start, end }) =>
			Array.from({ length: Number((end - start) >> 12n) }, (_, i) => (start >> 12n) + BigInt(i)),
		);

it("finds the same either way, and what the process has written among it", async () => {
	// stops itself, so that nothing changes
	const child = spawn("sh", ["-c", "echo up; kill -STOP $$"], { stdio: ["ignore", "pipe", "ignore"] });
	children.push(child);
	await once(child.stdout, "data");
	const { pid = 0 } = child;
	const stat = (): string => readFileSync(`/proc/${pid}/stat`, "latin1");
	while (!/\) T /.test(stat())) await new Promise((done) => setTimeout(done, 5));
	const maps = readFileSync(`/proc/${pid}/maps`, "latin1");
	const ranges = [...maps.matchAll(/^(\w+)-(\w+) (?!.*\[vsyscall\])/gm)].map(([, start, end]) => ({
		start: address(BigInt(`0x${start}`)),
		end: address(BigInt(`0x${end}`)),
	}));
	const byFile = pagesByPagemap(pid, ranges);
	const byCall = await withAgent((agent) => touchedPages(agent, pid, ranges));
	const own = ({ ofFile, guard }: TouchedRange): boolean => !ofFile && !guard;
	const [ofCall, ofFile] = [numbers(byCall, own), numbers(byFile, own)];
	// only the page of zeros may be in the one and not in the other
	expect(ofCall.filter((page) => !ofFile.includes(page))).toEqual([]);
	expect(ofFile.length - ofCall.length).toBeLessThan(10);
	// field 28 of proc(5) is where its stack begins
	const stack = BigInt(
		stat()
			.slice(stat().lastIndexOf(")") + 2)
			.split(" ")[25] ?? 0,
	);
	expect(ofCall).toContain(stack >> 12n);
	const libraries = ({ ofFile }: TouchedRange): boolean => ofFile;
	expect(numbers(byCall, libraries).length).toBeGreaterThan(10);
});
