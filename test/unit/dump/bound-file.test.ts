import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { Agent } from "../../../src/agent/agent.ts";
import { boundFile } from "../../../src/dump/unix-sockets.ts";

const mayNot = { call: async () => -1n } as unknown as Agent;

it("knows no file of a unix socket whose path cannot be followed, and may not ask the kernel for it", async () => {
	const directory = mkdtempSync(join(tmpdir(), "bound-"));
	onTestFinished(() => rmSync(directory, { recursive: true }));
	symlinkSync("loop", join(directory, "loop"));
	const socket = { inode: 1, type: 1, state: 10, waiting: [], queued: 0, room: 0, shutdown: 0 };
	const name = Buffer.from(join(directory, "loop/socket"));
	expect(await boundFile(mayNot, process.pid, { ...socket, name, file: 2 }, 3n)).toBeUndefined();
});
