import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether there is a C compiler with the C library's and the kernel's headers. In CI its absence is a failure. */
export const hasGcc = ((): boolean => {
	const found = spawnSync("gcc", ["-E", "-"], { input: "#include <stdio.h>\n#include <asm/unistd.h>\n" }).status === 0;
	if (!found && process.env["CI"] !== undefined) throw new Error("this test needs gcc and linux-libc-dev");
	return found;
})();

/** Compiles a program, runs it, and reads its lines `NAME NUMBER`. */
export function numbersOf(source: string): Map<string, bigint> {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-gcc-"));
	try {
		writeFileSync(join(directory, "numbers.c"), source);
		const program = join(directory, "numbers");
		execFileSync("gcc", ["-w", "-O0", "-o", program, join(directory, "numbers.c")]);
		return new Map(
			execFileSync(program, { encoding: "utf8" })
				.trim()
				.split("\n")
				.map((line): [string, bigint] => {
					const [name = "", number = ""] = line.split(" ");
					return [name, BigInt(number)];
				}),
		);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

/** The object-like macros that `#include <header>` defines as a decimal number. */
export const macrosOf = (header: string): Map<string, number> =>
	new Map(
		[
			...execFileSync("gcc", ["-dM", "-E", "-"], { input: `#include <${header}>\n`, encoding: "utf8" }).matchAll(
				/^#define (\w+) (\d+)$/gm,
			),
		].map(([, name = "", number = ""]) => [name, Number(number)]),
	);
