import { spawn } from "node:child_process";
import {
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { label, type SyscallBatch } from "../../src/agent/batch.ts";
import { addRemoval, hold } from "../../src/agent/register-removal.ts";
import { type AgentOptions, startAgent } from "../../src/agent/start-agent.ts";
import { address, plus } from "../../src/bytes/address.ts";
import { openDirectory } from "../../src/bytes/open-directory.ts";
import { O } from "../../src/linux/open.ts";
import { timespec } from "../../src/linux/time.ts";
import { copyDescriptorsOf } from "../../src/trace/descriptors.ts";
import { DO, EXPECTED, type HandStep, NR, steps, words } from "../support/builders/steps.ts";
import { built } from "../support/lives/built.ts";
import { isDead, soon, stateOf } from "../support/lives/living.ts";
import { refusalOf } from "../support/refusal.ts";
import { scratch } from "../support/scratch.ts";

// The blob as a process. Whatever happens, nothing of it may be left.

const hole = { start: address(0x2000_0000_0000n), end: address(0x2000_0020_0000n) };
/** Where plans may lie. */
const free = 0x2000_0004_0000n;

const started: Agent[] = [];
const start = async (options: AgentOptions = {}): Promise<Agent> => {
	const agent = await startAgent(hole, { streams: "ignore", ...options });
	started.push(agent);
	return agent;
};

afterEach(async () => {
	for (const agent of started.splice(0)) {
		await agent.close();
		expect(stateOf(agent.pid)).toBeUndefined();
	}
});

/** Loads steps to the start of the free room, with data a page above, and runs them. */
const run = (agent: Agent, list: readonly HandStep[], data: Uint8Array = new Uint8Array(8)) =>
	agent.run({
		load: [
			{ at: address(free), bytes: steps(list) },
			{ at: address(free + 0x1000n), bytes: data },
		],
		steps: address(free),
		reply: { at: address(free + 0x1000n), length: data.length },
	});
const DATA = free + 0x1000n;

describe("an agent", () => {
	it("lives in its hole, in a session of its own, and its file is gone", async () => {
		const before = readdirSync(tmpdir()).filter((name) => name.startsWith("necromancer-"));
		const agent = await start();
		const maps = readFileSync(`/proc/${agent.pid}/maps`, "latin1").trim().split("\n");
		const own = maps.filter((line) => !/\[(?:stack|vvar|vvar_vclock|vdso|vsyscall)\]$/.test(line));
		expect(own.every((line) => / rwxp 00000000 00:00 0 ?$/.test(line))).toBe(true);
		expect(own[0]).toMatch(/^200000000000-/);
		expect(own.at(-1)).toMatch(/-200000200000 /);
		expect(readlinkSync(`/proc/${agent.pid}/exe`)).toMatch(/\/#\d+ \(deleted\)$/);
		expect(readFileSync(`/proc/${agent.pid}/comm`, "latin1")).toBe("agent\n");
		expect(readdirSync(tmpdir()).filter((name) => name.startsWith("necromancer-"))).toEqual(before);
		expect(await agent.call("getsid", 0)).toBe(BigInt(agent.pid));
		expect(readdirSync(`/proc/${agent.pid}/fd`)).toEqual(["0", "1", "2", "3", "4"]);
	});

	it("makes system calls, with bytes as pointers both ways", async () => {
		const agent = await start();
		expect(await agent.call("getpid")).toBe(BigInt(agent.pid));
		expect(await agent.call("close", 99)).toBe(-9n);
		const ends = Buffer.alloc(8);
		expect(await agent.call("pipe2", ends, 0)).toBe(0n);
		expect(await agent.call("write", ends.readInt32LE(4), Buffer.from("hello"), 5)).toBe(5n);
		const heard = Buffer.alloc(16);
		expect(await agent.call("read", ends.readInt32LE(0), heard, 16)).toBe(5n);
		expect(heard.toString("latin1")).toBe(`hello${"\0".repeat(11)}`);
	});

	it("answers in order whoever asks", async () => {
		const agent = await start();
		const asked = Array.from({ length: 50 }, (_, i) => agent.call("close", 1000 + i).then((result) => [i, result]));
		const lengths = Array.from({ length: 50 }, (_, i) =>
			agent.run({ reply: { at: agent.layout.blob, length: i } }).then(({ reply }) => reply.length),
		);
		expect(await Promise.all(asked)).toEqual(Array.from({ length: 50 }, (_, i) => [i, -9n]));
		expect(await Promise.all(lengths)).toEqual(Array.from({ length: 50 }, (_, i) => i));
	});

	it("carries megabytes both ways", async () => {
		const agent = await start();
		const bytes = Buffer.alloc(0x1c_0000);
		for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE(i, i);
		const { reply } = await agent.run({
			load: [{ at: agent.layout.free.start, bytes }],
			reply: { at: agent.layout.free.start, length: bytes.length },
		});
		expect(reply.equals(bytes)).toBe(true);
	});

	it("can become another program by name, as no mapping is of its file", async () => {
		const agent = await start();
		expect(readFileSync(`/proc/${agent.pid}/maps`, "latin1")).not.toContain("/agent");
	});
});

describe("a list of steps", () => {
	it("ends where it ends, with the last result", async () => {
		const agent = await start();
		const answer = await run(agent, [{ call: NR.getpid, store: DATA }]);
		expect(answer).toEqual({ result: BigInt(agent.pid), reply: words(agent.pid) });
	});

	it("ends at the first step that is not satisfied, says which, and stores nothing of it", async () => {
		const agent = await start();
		const answer = await run(agent, [
			{ call: NR.getpid },
			{ call: NR.close, args: [99], id: 7777, store: DATA },
			{ call: NR.exit_group, args: [1] },
		]);
		expect(answer).toEqual({ stoppedAt: 7777n, result: -9n, reply: words(0) });
	});

	it.each([
		["anything", { expect: EXPECTED.ANYTHING }, false],
		["success", { expect: EXPECTED.SUCCESS }, true],
		["exactly this error", { expect: EXPECTED.EXACTLY, want: -9n }, false],
		["exactly something else", { expect: EXPECTED.EXACTLY, want: 0n }, true],
		["success or this error", { expect: EXPECTED.SUCCESS_OR, want: -9n }, false],
		["success or another error", { expect: EXPECTED.SUCCESS_OR, want: -1n }, true],
		["failure at last", { expect: EXPECTED.REPEAT }, false],
	])("expects %s", async (_, expectation, stops) => {
		const agent = await start();
		const { stoppedAt } = await run(agent, [{ call: NR.close, args: [99], ...expectation }]);
		expect(stoppedAt).toBe(stops ? 1n : undefined);
	});

	it("repeats a call until it fails", async () => {
		const agent = await start();
		const ends = Buffer.alloc(8);
		const nonblock = 0o4000;
		await agent.call("pipe2", ends, nonblock);
		for (let i = 0; i < 5; i++) await agent.call("write", ends.readInt32LE(4), Buffer.from("x"), 1);
		const drain = { call: NR.read, args: [ends.readInt32LE(0), DATA, 1], expect: EXPECTED.REPEAT };
		expect(await run(agent, [drain])).toMatchObject({ result: -11n });
	});

	it("takes arguments from memory where it is told to", async () => {
		const agent = await start();
		const list = [
			{ call: NR.getpid, store: DATA },
			{ call: NR.kill, args: [DATA, 0], indirect: [0], expect: EXPECTED.EXACTLY, want: 0n },
		];
		expect((await run(agent, list)).stoppedAt).toBeUndefined();
	});

	it("asks the processor", async () => {
		const agent = await start();
		const { reply } = await run(agent, [{ call: DO.CPUID, args: [0, 0, DATA] }], Buffer.alloc(16));
		const name = Buffer.concat([reply.subarray(4, 8), reply.subarray(12, 16), reply.subarray(8, 12)]).toString(
			"latin1",
		);
		expect(readFileSync("/proc/cpuinfo", "latin1")).toContain(`vendor_id\t: ${name}\n`);
	});
});

/** A carrier, from a list of steps that lies two pages above the list of the agent. */
async function spawnCarrier(agent: Agent, list: readonly HandStep[], task = 42) {
	const carrier = free + 0x2000n;
	const clone = words(0, 0, 0, 0, 17, free + 0x8000n, 0x4000, 0, 0, 0, 0);
	const data = Buffer.concat([words(4, task), clone, words(0)]);
	await agent.run({ load: [{ at: address(carrier), bytes: steps(list) }] });
	const { result } = await run(agent, [{ call: DO.SPAWN, args: [DATA + 16n, 88, DATA, carrier] }], data);
	return Number(result);
}

const wait = async (agent: Agent, pid: number): Promise<number> => {
	const status = Buffer.alloc(8);
	expect(await agent.call("wait4", pid, status, 0, 0)).toBe(BigInt(pid));
	return status.readUInt32LE();
};

const dieWithTheAgent: HandStep = { call: NR.prctl, args: [1, 9] };
/** Until somebody else writes the word, which nobody does. */
const sleepForEver: HandStep = { call: DO.AWAIT, args: [free + 0x2f00n, 1] };

describe("a carrier", () => {
	it("runs its list, talks to us, and exits", async () => {
		const agent = await start();
		const text = DATA + 16n + 88n;
		const pid = await spawnCarrier(agent, [
			{ call: NR.getpid, store: text },
			{ call: NR.write, args: [4, text, 8], expect: EXPECTED.EXACTLY, want: 8n },
			{ call: NR.write, args: [4, text, 8] },
			{ call: NR.write, args: [4, text, 8] },
			{ call: NR.read, args: [4, text, 1], expect: EXPECTED.EXACTLY, want: 1n },
		]);
		expect(await agent.reports.next()).toEqual({ task: BigInt(pid), id: BigInt(pid), result: BigInt(pid) });
		expect(stateOf(pid)).toMatch(/[RS]/);
		agent.reports.send(Uint8Array.of(1));
		expect(await wait(agent, pid)).toBe(0);
	});

	it("reports the step that failed, and ends with status 111", async () => {
		const agent = await start();
		const pid = await spawnCarrier(agent, [{ call: NR.getpid }, { call: NR.close, args: [99], id: 31 }, sleepForEver]);
		expect(await agent.reports.next()).toEqual({ task: 42n, id: 31n, result: -9n });
		expect(await wait(agent, pid)).toBe(111 << 8);
	});

	it("is missed when nobody else holds the socket it reported on", async () => {
		const agent = await start();
		const pid = await spawnCarrier(agent, [{ call: NR.read, args: [4, DATA, 1] }]);
		expect(await agent.call("close", 4)).toBe(0n);
		agent.reports.send(Uint8Array.of(1));
		expect(await agent.reports.next()).toBeUndefined();
		expect(await wait(agent, pid)).toBe(0);
	});

	it("dies with the agent", async () => {
		const agent = await start();
		const pid = await spawnCarrier(agent, [dieWithTheAgent, { call: NR.write, args: [4, DATA, 24] }, sleepForEver]);
		await agent.reports.next();
		// it has written, and may not sleep yet
		expect(await soon(() => stateOf(pid) === "S")).toBe(true);
		await agent.close();
		expect(await soon(() => isDead(pid))).toBe(true);
	});
});

describe("the end of an agent", () => {
	it("is told to whoever asks it", async () => {
		const agent = await start();
		expect(await refusalOf(agent.call("exit_group", 3))).toBe(
			"ERR_HOST agent: ended with status 3 while exit_group, expected an answer",
		);
		expect(await agent.exited).toEqual({ status: 3, signal: null });
		expect(await refusalOf(agent.call("getpid"))).toBe(
			"ERR_HOST agent: ended with status 3 while getpid, expected an answer",
		);
		await agent.close();
		await agent.close();
	});

	it("comes when it is killed by somebody", async () => {
		const agent = await start();
		const asked = refusalOf(agent.call("pause"));
		// what is not SIGKILL waits: it ends with its socket
		process.kill(agent.pid, "SIGTERM");
		process.kill(agent.pid, "SIGKILL");
		expect(await asked).toBe("ERR_HOST agent: ended with SIGKILL while pause, expected an answer");
	});

	it("comes when it has no answer in time", async () => {
		const agent = await start();
		const batch = agent.batch();
		batch.call("pause");
		expect(await refusalOf(agent.perform(batch, { patience: 30, doing: "sleeping" }))).toBe(
			"ERR_HOST agent: gave no answer within 30 ms while sleeping, expected an answer",
		);
		expect(await agent.exited).toEqual({ status: null, signal: "SIGKILL" });
	});
});

describe("a draft that is left to an agent to remove", () => {
	it.each(["link", "directory", "nothing"] as const)(
		"goes, and what was put in its place stays: a %s",
		async (what) => {
			const agent = await start();
			const room = scratch();
			const [draft, other] = [join(room, "draft"), join(room, "other")];
			for (const path of [draft, other]) {
				mkdirSync(path);
				writeFileSync(join(path, "file"), "");
			}
			const context = openDirectory(room);
			const undo = agent.undoList();
			addRemoval(undo, await hold(agent, context.fd), "draft", lstatSync(draft, { bigint: true }));
			await agent.perform(agent.batch(), { undo });
			context.close();
			// swapped when nothing but the removal is left to do
			if (what !== "nothing") renameSync(draft, join(room, "moved"));
			if (what === "link") symlinkSync("other", draft);
			if (what === "directory") renameSync(other, draft);
			await agent.close();
			expect(readdirSync(room).sort()).toEqual(
				{ link: ["draft", "moved", "other"], directory: ["draft", "moved"], nothing: ["other"] }[what],
			);
			if (what !== "nothing") expect(readdirSync(join(room, "draft"))).toEqual(["file"]);
		},
	);
});

describe("closing twice", () => {
	it("waits for the end again, and a copies's number is then somebody else's", async () => {
		const agent = await start();
		const copies = await copyDescriptorsOf(agent, process.pid);
		await copies.close();
		const name = Buffer.from("/dev/null\0");
		const number = await agent.call("open", name, O.RDONLY);
		expect(number).toBe(5n);
		await copies.close();
		expect(readlinkSync(`/proc/${agent.pid}/fd/${number}`)).toBe("/dev/null");
		expect(agent.close()).toBe(agent.close());
		await agent.close();
		expect(stateOf(agent.pid)).toBeUndefined();
	});
});

describe("what an agent undoes when its driver is gone", () => {
	/** Adds a file to a directory, which the undo list of a test is seen by. */
	const make = (batch: SyscallBatch, path: string) =>
		batch.call("open", batch.put(Buffer.from(`${path}\0`)), O.CREAT | O.WRONLY, 0o600);

	it("is the list that came last, whatever has been asked since", async () => {
		const directory = scratch();
		const agent = await start();
		for (const name of ["first", "second"]) {
			const undo = agent.undoList();
			make(undo, join(directory, name));
			await agent.perform(agent.batch(), { undo });
		}
		expect(await agent.call("getppid")).toBe(BigInt(process.pid));
		await agent.close();
		expect(readdirSync(directory)).toEqual(["second"]);
	});

	it("is nothing when that came last", async () => {
		const directory = scratch();
		const agent = await start();
		const undo = agent.undoList();
		make(undo, join(directory, "file"));
		await agent.perform(agent.batch(), { undo });
		await agent.perform(agent.batch(), { undo: undefined });
		await agent.close();
		expect(readdirSync(directory)).toEqual([]);
	});

	it("waits for the end of a batch that has begun, and knows what that stored", async () => {
		const directory = scratch();
		const agent = await start();
		const undo = agent.undoList();
		const made = undo.space(8);
		const [opened, end] = [label("opened"), label("end")];
		undo.branch({ valueOf: made }, 1n << 63n, 0, opened);
		undo.jump(end);
		undo.mark(opened);
		const text = undo.put(Buffer.from("undone"));
		undo.call("write", { valueOf: made }, text, text.size);
		undo.mark(end);
		const batch = agent.batch();
		const time = timespec.encode({ tv_sec: 0n, tv_nsec: 300_000_000n });
		batch.call("nanosleep", batch.put(time), 0);
		const path = batch.put(Buffer.from(`${join(directory, "file")}\0`));
		batch.callInto(made, "open", path, O.CREAT | O.WRONLY, 0o600);
		const lost = refusalOf(agent.perform(batch, { undo, doing: "sleeping" }));
		expect(await soon(() => readFileSync(`/proc/${agent.pid}/wchan`, "latin1").includes("nanosleep"))).toBe(true);
		await agent.close();
		expect(await lost).toBe("ERR_HOST agent: ended with status 111 while sleeping, expected an answer");
		expect(readFileSync(join(directory, "file"), "latin1")).toBe("undone");
	});

	it("goes round and round until a word says that it is enough", async () => {
		const directory = scratch();
		for (let i = 0; i < 5; i++) writeFileSync(join(directory, `${i}`), "");
		const agent = await start();
		const batch = agent.batch();
		const entries = batch.space(4096);
		const [again, end] = [label("again"), label("end")];
		const fd = batch.call("open", batch.put(Buffer.from(`${directory}\0`)), O.DIRECTORY);
		batch.mark(again);
		const count = batch.call("getdents64", { valueOf: fd }, entries, 32);
		batch.branch({ valueOf: count }, ~0n, 0, end);
		batch.jump(again);
		batch.mark(end);
		expect((await agent.perform(batch)).result(count)).toBe(0n);
	});

	it("needs every label to stand somewhere", async () => {
		const agent = await start();
		const batch = agent.batch();
		batch.jump(label("nowhere"));
		expect(() => batch.encode()).toThrow("nothing is labelled nowhere");
	});
});

describe("starting an agent", () => {
	it("tries one directory after the other", async () => {
		const empty = scratch();
		const agent = await start({ places: ["/proc", `${empty}/none`, empty] });
		expect(readlinkSync(`/proc/${agent.pid}/exe`).startsWith(empty)).toBe(true);
		expect(readdirSync(empty)).toEqual([]);
	});

	it("says where it has tried", async () => {
		const none = `${scratch()}/none`;
		expect(await refusalOf(start({ places: [none, "/proc", none] }))).toBe(
			`ERR_HOST agent: cannot run from ${none} (ENOENT), /proc (ENOENT), expected a directory that may hold programs; ` +
				"set TMPDIR to one on a file system mounted without noexec",
		);
	});

	it("gives up where no program can lie", async () => {
		const beyond = address(0x7fff_ffff_0000n);
		const tried = startAgent({ start: beyond, end: plus(beyond, 0x8_0000n) }, { streams: "ignore" });
		expect(await refusalOf(tried)).toMatch(
			/^ERR_HOST agent: ended with SIG(?:SEGV|KILL) while starting, expected an answer$/,
		);
	});
});

describe("when we are killed", () => {
	const program = (carrier: string, then: string): string => `
		import { startAgent } from ${JSON.stringify(join(built(), "agent/start-agent.js"))};
		import { waitForExit } from ${JSON.stringify(join(built(), "agent/wait.js"))};
		const agent = await startAgent({ start: ${hole.start}n, end: ${hole.end}n }, { streams: "ignore" });
		const batch = agent.batch();
		const list = batch.list();
		${carrier}
		const clone = batch.put(Buffer.from(BigUint64Array.of(0n, 0n, 0n, 0n, 17n, ${free}n, 0x4000n, 0n, 0n, 0n, 0n).buffer));
		const pid = batch.call("spawn", clone, 88, batch.space(16), { list });
		const carrier = (await agent.perform(batch)).result(pid);
		${then}
		console.log(agent.pid + " " + carrier);
		setInterval(() => {}, 1000);`;

	const tied = `
		list.call("prctl", [1, 9]);
		list.call("write", [4, batch.space(24), 24]);
		list.call("await", [batch.space(8), 1]);`;
	const afterItIsTied = "await agent.reports.next();";

	// A carrier that is not tied yet, when the agent dies, comes to nothing at the socket that nobody holds any more.
	it.each([
		["is idle", tied, afterItIsTied],
		[
			"waits for a process that does not end",
			tied,
			`${afterItIsTied} waitForExit(agent, Number(carrier)).catch(() => {});`,
		],
		["has a carrier that waits for us", 'list.call("read", [4, batch.space(8), 1]);', ""],
	])("nothing is left, when the agent %s", async (_, carrier, then) => {
		const child = spawn(process.execPath, ["--input-type=module", "-e", program(carrier, then)], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const text = await new Promise<string>((done) => child.stdout.once("data", (chunk: Buffer) => done(`${chunk}`)));
		const pids = text.trim().split(" ").map(Number);
		expect(pids.map(isDead)).toEqual([false, false]);
		child.kill("SIGKILL");
		expect(await soon(() => pids.every(isDead))).toBe(true);
	});
});
