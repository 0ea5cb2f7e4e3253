import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** In CI a missing need is a failure; elsewhere a test that needs it says so in its title. */
export function need(what: string, found: boolean): boolean {
	if (!found && process.env["CI"] !== undefined) throw new Error(`this test needs ${what}`);
	return found;
}

/** Whether a program can be run. */
export const hasTool = (name: string, probe: readonly string[] = ["--version"]): boolean =>
	need(name, spawnSync(name, probe, { stdio: "ignore" }).error === undefined);

/** Whether there is a C compiler with the C library's and the kernel's headers. */
export const hasGcc = (): boolean => {
	const input = "#include <stdio.h>\n#include <asm/unistd.h>\n";
	return need("gcc and linux-libc-dev", spawnSync("gcc", ["-E", "-"], { input }).status === 0);
};

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
