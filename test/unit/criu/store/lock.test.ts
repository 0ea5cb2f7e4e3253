import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { recover } from "../../../../src/criu/store/commit.ts";
import { fateOf, type Holder, holderIn, ourselves, textOf } from "../../../../src/criu/store/holder.ts";
import { lock } from "../../../../src/criu/store/lock.ts";
import { refusal } from "../../../support/refusal.ts";
import { scratch } from "../../../support/scratch.ts";

const us = ourselves();
const plant = (directory: string, holder: Holder): void =>
	writeFileSync(join(directory, `.necromancer-lock.${textOf(holder)}`), "");

/** The start of a process, found another way: a name without parentheses has its fields where split(" ") says. */
const startOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[21] ?? "";

async function withSleeper<T>(use: (pid: number) => T): Promise<T> {
	const child = spawn("sleep", ["100"], { stdio: "ignore" });
	await once(child, "spawn");
	try {
		return use(child.pid ?? 0);
	} finally {
		child.kill("SIGKILL");
		await once(child, "exit");
	}
}

test("a lock is a file while it is held", () => {
	const directory = scratch();
	const held = lock(directory);
	expect(readdirSync(directory)).toEqual([`.necromancer-lock.${textOf(us)}`]);
	held.release();
	expect(readdirSync(directory)).toEqual([]);
});

describe("a directory is locked", () => {
	test("by ourselves", () => {
		const directory = scratch();
		const held = lock(directory);
		const expected = `ERR_IMAGE_LOCKED ${directory}: is being patched by pid ${process.pid}; wait for it to end`;
		expect(refusal(() => lock(directory))).toBe(expected);
		expect(refusal(() => recover(directory))).toBe(expected);
		held.release();
		lock(directory).release();
	});

	test("by a process that lives", async () => {
		const directory = scratch();
		await withSleeper((pid) => {
			plant(directory, { ...us, pid, start: startOf(pid) });
			expect(refusal(() => lock(directory))).toBe(
				`ERR_IMAGE_LOCKED ${directory}: is being patched by pid ${pid}; wait for it to end`,
			);
		});
		// it gave way: only the other's is there
		expect(readdirSync(directory)).toHaveLength(1);
		lock(directory).release();
		expect(readdirSync(directory)).toEqual([]);
	});

	test.each([
		["another pid namespace", { namespace: "4026530000", host: "box" }],
		["another host", { host: "box", boot: "00000000" }],
	])("by a process of %s, as far as we know", (_, where) => {
		const directory = scratch();
		const holder = { ...us, pid: 77, ...where };
		plant(directory, holder);
		expect(refusal(() => lock(directory))).toBe(
			`ERR_IMAGE_LOCKED ${directory}: is being patched by pid 77 of another pid namespace or host (box); when it no longer runs, remove .necromancer-lock.${textOf(holder)} there`,
		);
	});
});

describe("a lock is stale", () => {
	test("when the pid belongs to a younger process", async () => {
		const directory = scratch();
		await withSleeper((pid) => {
			plant(directory, { ...us, pid, start: "1" });
			lock(directory).release();
			expect(readdirSync(directory)).toEqual([]);
		});
	});

	test.each([
		["there is no such process", { pid: 4194305 }],
		["the host was started since", { pid: 1, boot: "00000000" }],
	])("when %s", (_, where) => {
		const directory = scratch();
		plant(directory, { ...us, ...where });
		expect(recover(directory)).toBe("clean");
		expect(readdirSync(directory)).toEqual([]);
	});

	test("when its process is a zombie", async () => {
		// sleep waits for no child. This one ends when sh is gone, which would have
		const child = spawn("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 100"], { stdio: ["ignore", "pipe", "ignore"] });
		const [line] = (await once(child.stdout, "data")) as [Buffer];
		const pid = Number(line);
		while (!readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "))
			await new Promise((done) => setTimeout(done, 5));
		expect(fateOf({ ...us, pid, start: startOf(pid) })).toBe("dead");
		child.kill("SIGKILL");
		await once(child, "exit");
	});
});

test("names that are no holder's are left alone", () => {
	const directory = scratch();
	const names = [
		"",
		"x",
		"1.2.3",
		"0.1.1.a.h",
		"1.1.1.g.h",
		"1.1.1.a.h/..",
		"1.1.1.a.h.i",
		`${"9".repeat(11)}.1.1.a.h`,
	];
	for (const name of names) expect(holderIn(name)).toBeUndefined();
	writeFileSync(join(directory, ".necromancer-lock.x"), "");
	lock(directory).release();
	expect(readdirSync(directory)).toEqual([".necromancer-lock.x"]);
	expect(holderIn(textOf(us))).toEqual(us);
});
