import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { probeGdb } from "../../src/cli/check/gdb.ts";
import { built } from "../support/lives/built.ts";
import { writingGdb } from "../support/lives/gdb.ts";
import { scratch } from "../support/scratch.ts";
import { hasGcc, hasTool } from "../support/tools.ts";

/** A directory for PATH, with a gdb of which only its words are true. */
function fakeGdb(version: string, trial: string): string {
	const directory = join(scratch(), "bin");
	mkdirSync(directory);
	const script = `#!/bin/sh\n[ "$1" = --version ] && { echo '${version}'; exit; }\n${trial}\n`;
	writeFileSync(join(directory, "gdb"), script, { mode: 0o755 });
	return directory;
}

const cannot = "raise --gdb shows the process, and can neither call its functions nor change its registers";
// what gdb 13.1 writes on a processor with AMX; a read that follows shows the old value
const UNKNOWN_STATE = `echo "Couldn't write extended state status: Bad address." >&2; echo "it holds 0"`;

describe("check tries gdb", () => {
	it.each([
		["GNU gdb (Debian 13.1-3) 13.1", "gdb 13.1"],
		["GNU gdb (GDB) Fedora Linux 12.1-7.fc37", "gdb 12.1"],
		["something else", "this gdb"],
	])("that knows no AMX on a processor that has it: %s", async (version, named) => {
		expect(await probeGdb(fakeGdb(version, UNKNOWN_STATE))).toEqual({
			name: "gdb",
			ok: false,
			found: `${named} cannot write the registers of this processor, which has more of them (AMX) than it knows; install gdb 14 or later`,
			without: cannot,
		});
	});

	it("that may trace nobody", async () => {
		const trial =
			'echo "warning: ptrace: Operation not permitted" >&2; echo "During startup program exited." >&2; exit 1';
		expect(await probeGdb(fakeGdb("GNU gdb (GDB) 16.3", trial))).toEqual({
			name: "gdb",
			ok: false,
			found: "gdb 16.3 could not write a register: During startup program exited.",
			without: cannot,
		});
	});

	it("that is not there", async () => {
		expect(await probeGdb(scratch())).toEqual({
			name: "gdb",
			ok: false,
			found: "is in no directory of PATH",
			without: "raise --gdb has nobody to hand the process to",
		});
	});

	const real = hasGcc() && hasTool("gdb");
	it.skipIf(!real)(`that can${real ? "" : " (needs gcc and gdb)"}`, async () => {
		const directory = writingGdb(scratch());
		expect(await probeGdb(`${directory}:${process.env["PATH"]}`)).toEqual({ name: "gdb", ok: true, without: cannot });
	});

	it("and says so in its last line but one", () => {
		const PATH = fakeGdb("GNU gdb (GDB) 13.2", UNKNOWN_STATE);
		const { status, stdout } = spawnSync(process.execPath, [join(built(), "cli/main.js"), "check"], {
			encoding: "utf8",
			env: { ...process.env, PATH, NO_COLOR: "1" },
		});
		expect(status).toBe(0);
		expect(stdout.split("\n").at(-3)?.replace(/ +/g, " ")).toBe(
			`no gdb gdb 13.2 cannot write the registers of this processor, which has more of them (AMX) than it knows; install gdb 14 or later; ${cannot}`,
		);
	});
});
