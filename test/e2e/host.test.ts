import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { probeHost } from "../../src/host/capabilities.ts";
import { measureHost } from "../../src/host/facts.ts";
import { built } from "../support/lives/built.ts";
import { isDead, soon } from "../support/lives/living.ts";
import { scratch } from "../support/scratch.ts";
import { hasGcc, need, numbersOf } from "../support/tools.ts";

// What this host is, asked by the agent and, as a witness, by a C program.

const gcc = hasGcc();

/** XGETBV, and rows of CPUID leaf 0xd. */
const processor = `
	#include <stdio.h>
	#include <cpuid.h>
	int main(void) {
		unsigned a, b, c, d;
		__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		unsigned long xcr0 = a | (unsigned long)d << 32;
		printf("xcr0 %lu\\n", xcr0);
		for (int i = 2; i < 63; i++) {
			if (!(xcr0 >> i & 1)) continue;
			__cpuid_count(0xd, i, a, b, c, d);
			printf("size.%d %u\\noffset.%d %u\\n", i, a, i, b);
		}
	}`;

/** AMX tiles, which a process has to ask for. */
const TILES = 1n << 18n;

describe("measureHost", () => {
	it.skipIf(!gcc)("finds the components and places of the processor's state (needs gcc)", async () => {
		const said = numbersOf(processor);
		const { xcr0, xstate } = await measureHost();
		expect(xcr0).toBe((said.get("xcr0") ?? 0n) & ~TILES);
		const places = [...xstate.places.values()];
		expect(places.map(({ component }) => 1n << BigInt(component)).reduce((mask, bit) => mask | bit, 3n)).toBe(xcr0);
		for (const { component, offset, size } of places) {
			expect([BigInt(offset), BigInt(size)]).toEqual([said.get(`offset.${component}`), said.get(`size.${component}`)]);
		}
		expect(xstate.size).toBe(Math.max(576, ...places.map(({ offset, size }) => offset + size)));
	});

	it.skipIf(!gcc)("finds the vdso that every process has (needs gcc)", async () => {
		const directory = scratch();
		writeFileSync(
			join(directory, "vdso.c"),
			"#include <unistd.h>\n#include <sys/auxv.h>\n#include <stdlib.h>\n" +
				"int main(int n, char **v) { return write(1, (void *)getauxval(33), atoi(v[1])) < 0; }",
		);
		execFileSync("gcc", ["-o", join(directory, "vdso"), join(directory, "vdso.c")]);
		const { vdso } = await measureHost();
		expect(vdso.image.length).toBeGreaterThan(4095);
		expect(execFileSync(join(directory, "vdso"), [String(vdso.image.length)]).equals(vdso.image)).toBe(true);
		expect(vdso.vvarLength % 4096n).toBe(0n);
		expect(vdso.vvarLength).toBeGreaterThan(0n);
	});

	it("finds the limits and processors", async () => {
		const { limits, processors } = await measureHost();
		expect(limits).toHaveLength(16);
		const [, soft, hard] = /^Max open files +(\d+) +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
		expect(limits[7]).toEqual({ soft: BigInt(soft ?? -1), hard: BigInt(hard ?? -1) });
		expect(processors).toBeGreaterThan(0);
	});
});

const names = [
	"clone3 set_tid",
	"PR_SET_MM_MAP with an executable",
	"ARCH_MAP_VDSO_64",
	"ptrace",
	"PR_TIMER_CREATE_RESTORE_IDS",
	"MADV_GUARD_INSTALL",
	"memfd_create",
	"pid namespace",
	"user and pid namespaces",
	"time namespace",
	"setgroups",
	"raising limits",
	"locking memory beyond the limit",
	"negative nice values",
	"transparent huge pages",
	"CAP_DAC_READ_SEARCH",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_SYS_PTRACE",
	"CAP_SYS_ADMIN",
	"CAP_CHECKPOINT_RESTORE",
];

const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
const canBeNobody = need("root and setpriv", spawnSync("setpriv", [...asNobody, "true"]).status === 0);

describe("probeHost", () => {
	it("tries everything, and says what is lost without it", async () => {
		const found = await probeHost();
		expect(found.map(({ name }) => name)).toEqual(names);
		for (const { ok, found: what, without } of found) {
			expect(without).toMatch(/^[a-z/-].*[^.]$/i);
			if (!ok && what !== undefined) expect(what).toMatch(/^(?:E[A-Z0-9]+|[a-z].*)$/);
		}
	});

	it("leaves nothing behind", async () => {
		const before = new Set(children());
		await probeHost();
		expect(await soon(() => children().every((pid) => before.has(pid) || isDead(pid)))).toBe(true);
	});

	it.skipIf(!canBeNobody)("finds less for nobody (needs root and setpriv)", async () => {
		const script = `const { probeHost } = await import(${JSON.stringify(join(built(), "host/capabilities.js"))});
			console.log(JSON.stringify(await probeHost()));`;
		const text = execFileSync("setpriv", [...asNobody, process.execPath, "--input-type=module", "-e", script]);
		const found = new Map(
			(JSON.parse(text.toString()) as { name: string; ok: boolean; found?: string }[]).map((row) => [row.name, row]),
		);
		expect([...found.keys()]).toEqual(names);
		expect(found.get("clone3 set_tid")).toMatchObject({ ok: false, found: "EPERM" });
		expect(found.get("pid namespace")).toMatchObject({ ok: false, found: "EPERM" });
		expect(found.get("setgroups")).toMatchObject({ ok: false, found: "EPERM" });
		expect(found.get("negative nice values")).toMatchObject({ ok: false, found: "EACCES" });
		expect(found.get("CAP_SETUID")).toMatchObject({ ok: false });
	});
});

const children = (): number[] =>
	readFileSync(`/proc/self/task/${process.pid}/children`, "latin1").trim().split(" ").filter(Boolean).map(Number);
