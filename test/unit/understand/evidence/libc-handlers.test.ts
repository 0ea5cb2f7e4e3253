import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { address } from "../../../../src/bytes/address.ts";
import { openFile } from "../../../../src/bytes/source.ts";
import type { PartialMemory } from "../../../../src/forest/partial-task.ts";
import { libcHandlers } from "../../../../src/understand/evidence/libc-handlers.ts";
import { scratch } from "../../../support/scratch.ts";
import { hasGcc } from "../../../support/tools.ts";

/** Has both of glibc's handlers set, and asks the kernel for them; says what libc.so.6 has mapped. */
const program = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *sleeper(void *unused) { pause(); return unused; }
int main(void) {
	pthread_t thread;
	pthread_create(&thread, 0, sleeper, 0);
	pthread_cancel(thread);
	pthread_join(thread, 0);
	for (int signal = 32; signal <= 33; signal++) {
		unsigned long action[4] = {0};
		syscall(SYS_rt_sigaction, signal, 0, action, 8);
		printf("%d %#lx %#lx %#lx\\n", signal, action[0], action[1], action[2]);
	}
	char line[4096];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps)) if (strstr(line, "/libc.so.6")) fputs(line, stdout);
}
`;

const gcc = hasGcc();
test.skipIf(!gcc)(`glibc's own handlers are found where the kernel has them${gcc ? "" : " (needs gcc)"}`, () => {
	const directory = scratch();
	writeFileSync(join(directory, "own.c"), program);
	execFileSync("gcc", ["-o", join(directory, "own"), join(directory, "own.c"), "-pthread"]);
	const said = execFileSync(join(directory, "own"), { encoding: "latin1" }).trim().split("\n");
	const kernels = said.slice(0, 2).map((line) => line.split(" ").map(BigInt));
	const mappings = said.slice(2).map((line) => {
		const [, start = "", end = "", perms = "", offset = "", path = ""] =
			/^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \S+\s+(.*)$/.exec(line) ?? [];
		return {
			...{ start: address(BigInt(`0x${start}`)), end: address(BigInt(`0x${end}`)), held: 0n },
			prot: (perms[0] === "r" ? 1 : 0) | (perms[1] === "w" ? 2 : 0) | (perms[2] === "x" ? 4 : 0),
			file: { path, offset: BigInt(`0x${offset}`), deleted: false },
		};
	});
	const path = mappings[0]?.file.path ?? "";
	const memory = {
		...{ mappings, contents: [], auxv: [[7, 1n]].map(([type, value]) => ({ type, value })), executable: "/own" },
		buildIds: new Map(),
		read: (_: bigint, length: number) => readFileSync(path).subarray(0, length),
	} as unknown as PartialMemory;
	const source = openFile(path);
	const found = libcHandlers(memory, () => ({ source, verdict: { kind: "same", proof: "first-page" } }));
	source.close();
	expect(found.map(({ signal, handler, flags, restorer }) => [BigInt(signal), handler, flags, restorer])).toEqual(
		kernels,
	);
	expect(libcHandlers(memory, () => undefined)).toEqual([]);
});
