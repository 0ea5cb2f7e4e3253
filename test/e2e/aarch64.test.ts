import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { present } from "../support/present.ts";
import { hasTool } from "../support/tools.ts";

// A program of another processor, run by an emulator that leaves a core of it.

const able = hasTool("aarch64-linux-gnu-gcc") && hasTool("qemu-aarch64");
const needs = able ? "" : " (needs aarch64-linux-gnu-gcc and qemu-aarch64)";

/** Every register has a number of its own when it dies. */
const program = `
	.globl _start
_start:
${Array.from({ length: 31 }, (_, i) => `	mov x${i}, #${0x1100 + i}\n`).join("")}
	str xzr, [x0]
`;

const directory = mkdtempSync(join(tmpdir(), "necromancer-aarch64-"));
let dist = "";
let core = "";
beforeAll(() => {
	if (!able) return;
	dist = built();
	writeFileSync(join(directory, "p.s"), program);
	execFileSync("aarch64-linux-gnu-gcc", ["-nostdlib", "-static", "-o", join(directory, "p"), join(directory, "p.s")]);
	// the emulator's own core would be one of this processor
	spawnSync("sh", ["-c", "ulimit -c unlimited; exec qemu-aarch64 ./p"], { cwd: directory });
	core = join(directory, present(readdirSync(directory).find((name) => name.startsWith("qemu_"))));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const necromancer = (...args: readonly string[]) => {
	const { status, stdout, stderr } = spawnSync(process.execPath, [join(dist, "cli/main.js"), ...args], {
		encoding: "utf8",
		env: { ...process.env, NO_COLOR: "1" },
	});
	return { status, stdout, stderr };
};

describe.skipIf(!able)(`a core of AArch64${needs}`, () => {
	it("is shown with all its registers", () => {
		const { status, stdout } = necromancer("show", "--json", core);
		const shown = JSON.parse(stdout);
		expect([status, shown.machine, shown.death.signal, shown.process.comm]).toEqual([0, "AArch64", "SIGSEGV", "p"]);
		const { registers, systemCall } = shown.threads[0];
		for (let i = 0; i < 31; i++) expect(registers[`x${i}`]).toBe(`0x${(0x1100 + i).toString(16)}`);
		expect(systemCall).toBeNull();
		expect(necromancer("show", core).stdout).toContain("AArch64: here it can be looked at, and not run");
	});

	it.each([
		[["raise"]],
		[["raise", "--check"]],
		[["-i", fixturePath("counter/images"), "-o", join(directory, "out"), "-c"]],
	])("is refused where it would have to run: %#", (verb) => {
		const { status, stderr } = necromancer(...verb, core);
		expect({ status, stderr }).toEqual({
			status: 3,
			stderr: `necromancer: ${core}: is for AArch64, expected an x86-64 core; look at it with \`necromancer show\`; here it cannot run [ERR_CORE_KIND]\n`,
		});
	});
});
