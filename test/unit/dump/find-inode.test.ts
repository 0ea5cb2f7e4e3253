import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Agent } from "../../../src/agent/agent.ts";
import type { WatchedInode } from "../../../src/descriptors/ask.ts";
import { inodeFinder } from "../../../src/dump/find-inode.ts";
import { majorOf, minorOf } from "../../../src/linux/stat.ts";
import { parseMounts } from "../../../src/proc/mounts.ts";

const directory = realpathSync(mkdtempSync(join(tmpdir(), "necromancer-find-inode-")));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** One that may not follow handles. */
const powerless = { pid: process.pid, call: async () => -1n } as unknown as Agent;

function inodeOf(path: string): WatchedInode {
	const { ino, dev } = statSync(path, { bigint: true });
	const device = majorOf(dev) * (1 << 20) + minorOf(dev);
	return { inode: ino, device, handle: { type: 1, bytes: Buffer.from("0102", "hex") } };
}

describe("an inode that the kernel tells by its number", () => {
	const [opened, beside, deeper] = ["opened", "beside", "deeper"].map((name) => join(directory, name));
	const [log, file, below] = [`${opened}/log`, `${beside}`, `${deeper}/file`];

	it("is found near what is open, where its handle may not be followed", async () => {
		for (const path of [`${opened}`, `${deeper}`]) mkdirSync(path);
		for (const path of [log, file, below]) writeFileSync(path, "");
		const find = inodeFinder(powerless, process.pid, [log, `${directory}/gone`]);
		// nobody looks everywhere
		expect(await find([log, directory, file, below].map(inodeOf))).toEqual([log, directory, file, undefined]);
	});

	it("is looked for by the mounts of its device, as mountinfo names them", () => {
		const text = [
			"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
			String.raw`30 22 0:44 / /dev/sh\040m rw - tmpfs tmpfs rw`,
			String.raw`31 22 254:0 /a /b\134c rw - ext4 /dev/vda rw`,
			"",
		].join("\n");
		expect(parseMounts(text)).toEqual([
			{ id: 22, device: 0xfe0_0000, path: "/" },
			{ id: 30, device: 44, path: "/dev/sh m" },
			{ id: 31, device: 0xfe0_0000, path: String.raw`/b\c` },
		]);
	});
});
