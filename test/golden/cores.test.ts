import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { openFile } from "../../src/bytes/source.ts";
import { buildIds } from "../../src/core/build-ids.ts";
import { readCore } from "../../src/core/core.ts";
import type { CoreMapping } from "../../src/core/mappings.ts";
import { coreMemory } from "../../src/core/memory.ts";
import { initialStack } from "../../src/core/stack.ts";
import { buildIdOfFile } from "../../src/elf/build-id.ts";
import {
	fixtureNames,
	fixtureOrigin,
	fixturePath,
	fixtureText,
	type MapsLine,
	parseMaps,
	unpackedCores,
} from "../support/builders/fixture-core.ts";
import { hasTool } from "../support/tools.ts";

const cores = unpackedCores();
afterAll(cores.close);

const opened = (name: string) => {
	const core = readCore(openFile(cores.path(name)));
	return { core, memory: coreMemory(core) };
};

describe.each(fixtureNames)("%s", (name) => {
	const { core, memory } = opened(name);
	const maps = parseMaps(fixtureText(name, "dead.maps"));
	const origin = fixtureOrigin(name);
	const gcore = origin.death === "gcore";

	test("its writer is known", () => expect(core.writer).toBe(gcore ? "gdb" : "kernel"));

	test("its mappings are those of /proc/PID/maps", () => {
		expect(memory.mappings.map(spelled)).toEqual(
			gcore ? maps.filter(knownToGdb).map(asGdbShows(memory.mappings)) : maps.map(asKernelShows),
		);
	});

	test("its process and threads are those of /proc/PID/status", () => {
		const status = new Map(
			fixtureText(name, "dead.status")
				.split("\n")
				.map((line) => line.split(":\t") as [string, string]),
		);
		const pid = Number(status.get("Pid"));
		expect(core.process).toMatchObject({
			pr_pid: pid,
			pr_ppid: Number(status.get("PPid")),
			pr_fname: status.get("Name"),
		});
		expect([core.process?.pr_uid, core.process?.pr_gid]).toEqual([0, 0]);
		expect(core.threads).toHaveLength(Number(status.get("Threads")));
		const leader = core.threads.find((thread) => thread.status.pr_pid === pid);
		// gdb writes no signal masks: in its cores they are zero, whatever they were.
		expect(leader?.status.pr_sighold).toBe(gcore ? 0n : BigInt(`0x${status.get("SigBlk")}`));
		expect(core.threads[0]?.status.pr_cursig).toBe({ abrt: 6, segv: 11, gcore: 0 }[origin.death]);
		expect(core.siginfo && Buffer.from(core.siginfo).readInt32LE(0)).toBe(
			{ abrt: 6, segv: 11, gcore: 19 }[origin.death],
		);
	});

	test("every thread has its vector registers", () => {
		for (const { fx, xstate } of core.threads) {
			expect(fx?.length).toBe(512);
			expect(xstate?.xcr0).toBe(0x207n);
			expect([...(xstate?.components.keys() ?? [])]).toEqual([2, 9]);
		}
	});

	test("its arguments are found on its stack", () => {
		const stack = initialStack(core, memory);
		expect(stack).toMatchObject({ kind: "found", argv: origin.command, execfn: origin.command[0] });
		const [on] = maps.filter((line) => line.name === "[stack]");
		if (stack.kind === "unknown" || on === undefined) return expect.fail("no stack");
		// execve leaves 8 zero bytes and its path at the very end.
		expect(stack.envEnd + BigInt(Buffer.byteLength(stack.execfn ?? "") + 1 + 8)).toBe(on.end);
	});

	test("its programs have the build-ids of the files", () => {
		const ids = buildIds(core, memory);
		const [, program] = /^\/opt\/victims\/(bin\/.*)$/.exec(origin.command[0] ?? "") ?? [];
		for (const path of new Set(core.files.map((file) => file.path))) {
			const isElf = /\.so[.\d]*$|\/bin\//.test(path);
			expect([path, ids.has(path)]).toEqual([path, isElf]);
		}
		if (program !== undefined) {
			expect(ids.get(origin.command[0] ?? "")).toBe(buildIdOfFile(openFile(fixturePath(program))));
		}
	});

	test("clean memory is in the files, changed memory in the core", () => {
		for (const mapping of memory.mappings) {
			const place = memory.locate(mapping.start);
			const { file, segment } = mapping;
			if ((segment?.available ?? 0n) > 0n) expect(place.kind).toBe("core");
			else
				expect(place).toMatchObject(
					file ? { kind: "file", path: file.path, offset: file.offset } : { kind: "nothing" },
				);
		}
		const [program] = core.files;
		const bin = /^\/opt\/victims\/(bin\/.*)$/.exec(program?.path ?? "")?.[1];
		if (program === undefined || bin === undefined) return;
		const first = memory.read(program.start, 4096);
		expect(first).toEqual(readFileSync(fixturePath(bin)).subarray(0, 4096));
	});

	test.skipIf(!hasTool("eu-readelf"))("its notes are those that eu-readelf (elfutils) lists", () => {
		const listed = execFileSync("eu-readelf", ["-n", cores.path(name)], { encoding: "utf8" });
		const all = (pattern: RegExp): string[] => [...listed.matchAll(pattern)].map(([, value = ""]) => value);
		const regs = core.threads.map(({ status }) => status.pr_reg);
		const pids = all(/^ {4}.*\bpid: (\d+)/gm).map(Number);
		const process = core.writer === "gdb" ? [0] : [1];
		expect(pids.filter((_, i) => !process.includes(i))).toEqual(core.threads.map(({ status }) => status.pr_pid));
		expect(all(/\brip: +0x([0-9a-f]+)/g).map((hex) => BigInt(`0x${hex}`))).toEqual(regs.map(({ ip }) => ip));
		expect(all(/\brsp: +0x([0-9a-f]+)/g).map((hex) => BigInt(`0x${hex}`))).toEqual(regs.map(({ sp }) => sp));
		expect(all(/\bfs\.base: +0x([0-9a-f]+)/g).map((hex) => BigInt(`0x${hex}`))).toEqual(
			regs.map(({ fs_base }) => fs_base),
		);
		const signed = (value: bigint): bigint => BigInt.asIntN(64, value);
		expect(all(/\borig_rax: (-?\d+)/g).map(BigInt)).toEqual(regs.map(({ orig_ax }) => signed(orig_ax)));
		expect(all(/\brax: +(-?\d+)/g).map(BigInt)).toEqual(regs.map(({ ax }) => signed(ax)));
		const files = [...listed.matchAll(/^ {6}([0-9a-f]+)-([0-9a-f]+) ([0-9a-f]+) \d+ +(.*)$/gm)].map(
			([, start, end, offset, path]) => [BigInt(`0x${start}`), BigInt(`0x${end}`), BigInt(`0x${offset}`), path],
		);
		expect(core.files.map(({ start, end, offset, path }) => [start, end, offset, path])).toEqual(files);
	});

	test.skipIf(!hasTool("gdb"))("its memory and registers are those that gdb shows", () => {
		const [thread] = core.threads;
		if (thread === undefined) return expect.fail("no thread");
		const { ip, sp, fs_base } = thread.status.pr_reg;
		const commands = ["print/x $rip", "x/8gx $rsp", `x/2gx ${fs_base}`].flatMap((command) => ["-ex", command]);
		const shown = execFileSync("gdb", ["-nx", "-batch", "-ex", `core-file ${cores.path(name)}`, ...commands], {
			encoding: "utf8",
			stdio: ["ignore", "pipe", "ignore"],
		});
		expect(shown).toContain(`$1 = 0x${ip.toString(16)}`);
		const words = [...shown.matchAll(/^0x[0-9a-f]+(?: <.*>)?:\t(0x[0-9a-f]+)\t(0x[0-9a-f]+)$/gm)].flatMap(
			([, a = "", b = ""]) => [a, b],
		);
		const at = (base: bigint, i: number) =>
			memory.readWord((base + 8n * BigInt(i)) as (typeof core.segments)[0]["start"]);
		const expected = [...Array.from({ length: 8 }, (_, i) => at(sp, i)), at(fs_base, 0), at(fs_base, 1)];
		expect(words.map(BigInt)).toEqual(expected);
	});
});

/** As both sides are compared: range, permissions, and for files offset and path. */
function spelled({ start, end, prot, file }: CoreMapping): string {
	const perms = prot === undefined ? "???" : `${prot & 1 ? "r" : "-"}${prot & 2 ? "w" : "-"}${prot & 4 ? "x" : "-"}`;
	const name = file && `${file.offset.toString(16)} ${file.path}${file.deleted ? " (deleted)" : ""}`;
	return `${start.toString(16)}-${end.toString(16)} ${perms} ${name ?? ""}`;
}

function asKernelShows({ start, end, perms, offset, name }: MapsLine): string {
	const file = name.startsWith("/") ? `${offset.toString(16)} ${name}` : "";
	return `${start.toString(16)}-${end.toString(16)} ${perms.slice(0, 3)} ${file}`;
}

/** gdb leaves out what it takes for the kernel's own, */
const knownToGdb = ({ name }: MapsLine): boolean => name !== "[vvar]" && name !== "[vvar_vclock]";

/** makes everything that it could read readable, and has no segment for file mappings that were never written. */
const asGdbShows =
	(mappings: readonly CoreMapping[]) =>
	(line: MapsLine, i: number): string => {
		const leftOut = mappings[i]?.prot === undefined && line.name.startsWith("/") && line.perms[1] !== "w";
		return asKernelShows({ ...line, perms: leftOut ? "???" : `r${line.perms.slice(1)}` });
	};
