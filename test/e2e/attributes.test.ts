import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { hasGcc, hasTool } from "../support/tools.ts";

// What few programs ever change, and what keeps a process from others: it comes back, or its loss is said beforehand.

const able = canHaveRooms() && hasGcc();
const hasPython = hasTool("python3");

const directory = mkdtempSync(join(tmpdir(), "necromancer-attributes-"));
let dist = "";
beforeAll(() => {
	dist = built();
	if (!able) return;
	for (const name of ["attributes", "confined", "shown"]) {
		const source = resolve(import.meta.dirname, `../support/lives/${name}.c`);
		execFileSync("gcc", ["-w", "-O1", "-pthread", "-o", join(directory, name), source]);
	}
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
async function room(): Promise<Room> {
	const opened = await openRoom();
	rooms.push(opened);
	return opened;
}
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

let made = 0;
const fresh = (name: string): string => join(directory, `${name}-${++made}`);

interface Started {
	readonly pid: number;
	readonly log: string;
}

async function started(where: Room, command: readonly string[]): Promise<Started> {
	const log = fresh("log");
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	const pid = Number(where.run(["sh", "-c", script, "sh", log, ...command]).stdout);
	await linesOf(log, 1);
	return { pid, log };
}

const necromancer = (where: Room, args: readonly string[], context: readonly string[] = []): Ran =>
	where.run([...context, process.execPath, join(dist, "cli/main.js"), ...args]);

const said = ({ log }: Started): string[] => readFileSync(log, "utf8").split("\n").slice(0, -1);

/** What it says from now on. */
async function more(of: Started, count: number): Promise<string[]> {
	const before = said(of).length;
	return (await linesOf(of.log, before + count)).slice(before, before + count);
}

async function gone(where: Room, { pid }: Started): Promise<void> {
	for (const end = performance.now() + 10_000; where.pids().includes(pid) && performance.now() < end; ) await sleep(10);
}

/** Dumps a process, which ends with that, and brings it back. @returns what was found. */
async function revive(
	where: Room,
	process: Started,
	options: readonly string[] = [],
	context: readonly string[] = [],
): Promise<string[]> {
	const images = fresh("images");
	const dumped = necromancer(where, ["dump", "-t", `${process.pid}`, "-i", images, "--json", ...options]);
	expect({ status: dumped.status, stderr: dumped.stderr }).toEqual({ status: 0, stderr: "" });
	await gone(where, process);
	const { status, stderr } = necromancer(where, ["restore", "-d", "-i", images], context);
	// what its dump lost is said again
	const known =
		/: the process lost it at its dump: |, deleted: cannot be made where it was; |, deleted: has no name any more/;
	const news = stderr.split("\n").filter((line) => !known.test(line));
	expect({ status, news }).toEqual({ status: 0, news: [`restored process ${process.pid}`, ""] });
	const { findings } = JSON.parse(dumped.stdout);
	return findings.map(({ weight, subject, text }: Record<string, string>) => `${weight} ${subject}: ${text}`);
}

const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

describe.skipIf(!able)(`attributes of threads, memory and process come back${needs}`, () => {
	it.each([[[]], [["tsc"]], [["mdwe"]]])("twice in a row %s", async (options) => {
		const where = await room();
		const process = await started(where, [join(directory, "attributes"), ...options]);
		for (const line of await more(process, 2)) expect(line).toMatch(/^\d+ right$/);
		for (let life = 1; life <= 2; life++) {
			await revive(where, process);
			for (const line of await more(process, 3)) expect(line).toMatch(/^\d+ right$/);
		}
	});
});

describe.skipIf(!able)(`what is shown in two ways is one thing afterwards${needs}`, () => {
	const shown = join(directory, "shown");

	it("private mappings of shared memory, and the object that they show", async () => {
		const where = await room();
		const process = await started(where, [shown, "memory"]);
		for (let life = 1; life <= 2; life++) {
			expect((await more(process, 1))[0]).toMatch(/^\d+ right$/);
			await revive(where, process);
			for (const line of await more(process, 3)) expect(line).toMatch(/^\d+ right$/);
		}
	});

	it("an open file that lost its name, and its other name", async () => {
		const where = await room();
		const [lost, kept] = [fresh("lost"), fresh("kept")];
		const process = await started(where, [shown, lost, kept]);
		expect(await revive(where, process)).toContain(
			`note descriptor 3: was ${lost} (deleted); it is opened by its other name ${kept}`,
		);
		for (const line of await more(process, 3)) expect(line).toMatch(/^\d+ right$/);
	});
});

describe.skipIf(!able)(`what /proc says of a process${needs}`, () => {
	it("it says of the one that came back, and a directory tells no more", async () => {
		const where = await room();
		const process = await started(where, [join(directory, "shown"), "proc"]);
		expect(await revive(where, process)).toContain(
			"loss descriptor 4: is a directory that tells a process of what becomes of it (F_NOTIFY, dnotify); it tells no more",
		);
		for (const line of await more(process, 3)) expect(line).toMatch(/^\d+ right$/);
	});

	it.skipIf(!hasPython)(`of one of its threads, is refused${hasPython ? "" : " (needs python3)"}`, async () => {
		const where = await room();
		const script = `import threading, time, os
t = threading.Thread(target=time.sleep, args=(1000,), daemon=True); t.start()
os.open(f"/proc/self/task/{t.native_id}/comm", os.O_RDONLY); print("1", flush=True); time.sleep(1000)`;
		const process = await started(where, ["python3", "-c", script]);
		expect(necromancer(where, ["dump", "-R", "-t", `${process.pid}`, "-i", fresh("images")]).stderr).toMatch(
			/^necromancer: descriptor 3: is a file about one of its threads \(\/proc\/\d+\/task\/\d+\/comm\), which this version cannot dump; /,
		);
	});

	it("of a child, it says of the one that came back with it; its namespace is its own", async () => {
		const where = await room();
		const script = `sleep 1000 & child=$!; exec 3</proc/$child/stat 4</proc/$child; read -r all <&3
exec 5</proc/$child/comm 6</proc/self/ns/net; trap 'read -r name <&5; echo "$name"; trap "" USR1' USR1; echo $child; while :; do wait; done`;
		const process = await started(where, ["sh", "-c", script]);
		const [child = ""] = said(process);
		const images = fresh("images");
		const link = (number: number): string => where.run(["readlink", `/proc/${process.pid}/fd/${number}`]).stdout.trim();
		const network = link(6);
		const dumped = necromancer(where, ["dump", "-t", `${process.pid}`, "-i", images, "-q"]);
		expect(dumped).toMatchObject({ status: 0, stderr: "" });
		const { status, stderr } = necromancer(where, ["restore", "-d", "-i", images]);
		expect({ status, stderr }).toEqual({
			status: 0,
			stderr:
				`caution descriptor 3: reads /proc/${child}/stat, which tells other things than it did\n` +
				`restored process ${process.pid} and 1 below it\n`,
		});
		expect(network).toMatch(/^net:\[\d+\]$/);
		const told = [`/proc/${child}/stat`, `/proc/${child}`, `/proc/${child}/comm`];
		expect([3, 4, 5, 6].map(link)).toEqual([...told, network]);
		where.run(["kill", "-USR1", `${process.pid}`]);
		expect(await linesOf(process.log, 2)).toEqual([child, "sleep"]);
	});

	it("of another, is refused", async () => {
		const where = await room();
		// neither above nor below it
		const other = where.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]).stdout.trim();
		const script = `exec 5</proc/${other}/status; exec "$1" plain`;
		const process = await started(where, ["sh", "-c", script, "sh", join(directory, "confined")]);
		expect(necromancer(where, ["dump", "-R", "-t", `${process.pid}`, "-i", fresh("images")]).stderr).toMatch(
			/^necromancer: descriptor 5: is a file about process (\d+) \(\/proc\/\1\/status\), which this version cannot dump; /,
		);
	});
});

describe.skipIf(!able)(`keys${needs}`, () => {
	const confined = join(directory, "confined");

	it("of whoever restores it are not those of the process", async () => {
		const where = await room();
		const process = await started(where, [confined, "seeks"]);
		expect((await more(process, 1))[0]).toMatch(/^\d+ none$/);
		await revive(where, process, [], [confined, "holds"]);
		for (const line of await more(process, 3)) expect(line).toMatch(/^\d+ none$/);
	});

	it("that its session keyring held are a loss", async () => {
		const where = await room();
		const process = await started(where, [confined, "holds", confined, "plain"]);
		expect((await more(process, 1))[0]).toMatch(/^\d+ found$/);
		expect(await revive(where, process)).toContain(
			`loss process ${process.pid}: its session keyring held 1 key; it comes back with a new one`,
		);
		expect((await more(process, 1))[0]).toMatch(/^\d+ none$/);
	});
});

describe.skipIf(!able)(`confinement that would be lost is refused by name${needs}`, () => {
	const confined = join(directory, "confined");
	const refusal = (where: Room, { pid }: Started): string =>
		necromancer(where, ["dump", "-t", `${pid}`, "-i", fresh("images")]).stderr;

	it.each([
		["net", "its network namespace", "--net"],
		["uts", "its UTS namespace (names of host and domain)", "--uts"],
		["cgroup", "its cgroup namespace", "--cgroup"],
	])("a namespace of its own: %s", async (name, words, flag) => {
		const where = await room();
		const process = await started(where, ["unshare", flag, confined, "plain"]);
		const { pid } = process;
		const shown = `${words} (${name}:[N], and ours is ${name}:[N])`;
		expect(refusal(where, process).replace(/\[\d+\]/g, "[N]")).toBe(
			`necromancer: process ${pid}: has ${shown}, which would not come back; run us in its namespaces (nsenter), or go on without: --allow-lost ${name} [ERR_UNSUPPORTED]\n`,
		);
		expect(await more(process, 1)).toHaveLength(1);
		const findings = await revive(where, process, ["--allow-lost", name]);
		expect(findings.map((line) => line.replace(/\[\d+\]/g, "[N]"))).toContain(
			`loss process ${pid}: had ${shown}; it has the restorer's, or none, when it comes back`,
		);
		expect(await more(process, 1)).toHaveLength(1);
	});

	it.each([
		["ldt", "process", "its local descriptor table (modify_ldt)"],
		["dispatch", "thread", "its system calls' way to a handler (PR_SET_SYSCALL_USER_DISPATCH)"],
	])("what only the process itself knows: %s", async (name, whose, words) => {
		const where = await room();
		const process = await started(where, [confined, name]);
		const { pid } = process;
		expect(refusal(where, process)).toBe(
			`necromancer: ${whose} ${pid}: has ${words}, which would not come back; go on without: --allow-lost ${name} [ERR_UNSUPPORTED]\n`,
		);
		expect(await more(process, 1)).toHaveLength(1);
		expect(await revive(where, process, ["--allow-lost", name])).toContain(
			`loss ${whose} ${pid}: had ${words}; it has the restorer's, or none, when it comes back`,
		);
		expect(await more(process, 1)).toHaveLength(1);
	});

	it("Landlock, which cannot be seen, is named where it is likely", async () => {
		const where = await room();
		const [plain, landlocked] = [
			await started(where, [confined, "plain"]),
			await started(where, [confined, "landlock"]),
		];
		const words = "whether Landlock confines it cannot be seen; if it did, it does no more when it comes back";
		expect(await revive(where, plain)).toContain(`note process ${plain.pid}: ${words}`);
		expect(await revive(where, landlocked)).toContain(`caution process ${landlocked.pid}: ${words}`);
	});

	it("a working directory that was deleted, also when another has its name", async () => {
		const where = await room();
		const path = `${fresh("parent")}/inner`;
		const script = `mkdir -p "$2"; chmod 710 "$2"; cd "$2"; exec 5<.; rmdir "$2"; [ "$3" = not ] || mkdir "$2"; exec "$1" plain`;
		for (const again of ["not", "again"]) {
			const process = await started(where, ["sh", "-c", script, "sh", confined, path, again]);
			await revive(where, process);
			const [cwd = "", fd = ""] = ["cwd", "fd/5"].map((link) => where.path(`/proc/${process.pid}/${link}`));
			const link = readlinkSync(cwd);
			expect(link.endsWith(" (deleted)")).toBe(true);
			if (again === "not") expect(link).toBe(`${path} (deleted)`);
			else expect(link).toMatch(/\/inner\.[0-9a-f]{16} \(deleted\)$/);
			const looks = statSync(cwd);
			expect(looks).toMatchObject({ nlink: 0, ino: statSync(fd).ino });
			expect(looks.mode & 0o7777).toBe(0o710);
			expect(existsSync(link.replace(" (deleted)", ""))).toBe(false);
			const found = `its working directory, which was deleted (${link})`;
			const findings = await revive(where, process, ["--allow-lost", "cwd"]);
			expect(findings).toContain(
				`loss process ${process.pid}: had ${found}; it comes back in the nearest directory that is there`,
			);
			expect(readlinkSync(where.path(`/proc/${process.pid}/cwd`))).toBe(dirname(link));
			where.run(["kill", "-KILL", `${process.pid}`]);
		}
	});

	it("a file whose other name is in another directory", async () => {
		const where = await room();
		const elsewhere = fresh("elsewhere");
		mkdirSync(elsewhere);
		const lost = fresh("file");
		const process = await started(where, [join(directory, "shown"), lost, join(elsewhere, "other")]);
		const found = `files that have lost their names, but have others (hard links) elsewhere (${lost})`;
		expect(refusal(where, process)).toBe(
			`necromancer: process ${process.pid}: has ${found}, which would not come back; go on without: --allow-lost links [ERR_UNSUPPORTED]\n`,
		);
		expect(await revive(where, process, ["--allow-lost", "links"])).toContain(
			`loss process ${process.pid}: had ${found}; it comes back as a copy without a name`,
		);
		expect((await more(process, 1))[0]).toMatch(/^\d+ wrong$/);
	});

	it("a namespace of its own that CRIU's images have: at the restore", async () => {
		const where = await room();
		const process = await started(where, [confined, "plain"]);
		const images = fresh("images");
		expect(necromancer(where, ["dump", "-q", "-t", `${process.pid}`, "-i", images]).stderr).toBe("");
		await gone(where, process);
		const ids = join(images, `ids-${process.pid}.img`);
		const bytes = readFileSync(ids);
		// net_ns_id: another than the dumper's
		bytes[bytes.indexOf(Buffer.from([6 << 3, 2]), 12) + 1] = 99;
		writeFileSync(ids, bytes);
		const restore = ["restore", "-d", "-i", images];
		expect(necromancer(where, restore).stderr).toBe(
			`necromancer: process ${process.pid}: had its network namespace, which does not come back; restore it with criu restore, or go on without: --allow-lost net [ERR_UNSUPPORTED]\n`,
		);
		expect(necromancer(where, [...restore, "--allow-lost", "net"])).toMatchObject({
			...{ status: 0 },
			stderr: expect.stringContaining("had its network namespace; it has ours when it comes back"),
		});
	});

	it("an id that outlived its process, as the session of others: at the restore", async () => {
		const where = await room();
		const script = `(set -m; sleep 1000 & echo $! >"$2") >&- 2>&-; exec "$1" plain`;
		const heir = fresh("heir");
		const { pid } = await started(where, ["sh", "-c", script, "sh", confined, heir]);
		const images = fresh("images");
		expect(necromancer(where, ["dump", "-q", "-t", `${pid}`, "-i", images]).stderr).toBe("");
		await gone(where, { pid, log: "" });
		const { status, stderr } = necromancer(where, ["restore", "-d", "-i", images]);
		expect([status, stderr]).toEqual([
			6,
			`necromancer: pid ${pid}: is still the session of "sleep" (process ${Number(readFileSync(heir, "latin1"))}), expected it to be free; end that one, or restore into a new pid namespace with --pid-namespace, or with new ids with --fresh-ids [ERR_PID_TAKEN]\n`,
		]);
		expect(necromancer(where, ["restore", "-d", "--pid-namespace", "-i", images]).status).toBe(0);
	});

	it("names that --allow-lost does not know", async () => {
		const where = await room();
		const { status, stderr } = necromancer(where, ["dump", "-t", "1", "-i", "x", "--allow-lost", "nothing"]);
		expect(status).toBe(2);
		expect(stderr).toContain("expected some of net, uts, ipc, cgroup, ");
	});
});
