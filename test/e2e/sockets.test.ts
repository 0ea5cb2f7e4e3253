import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf, type Ran } from "../support/lives/room.ts";
import { hasGcc, hasTool } from "../support/tools.ts";

// Sockets that are not connected: what the kernel says of them is the same before a dump and after the restore.

const able = canHaveRooms() && hasTool("python3") && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter, python3 and gcc)";

const { directory, room, necromancer, begin, empty, clear } = ownRoom({ able }, () => {
	chmodSync(directory, 0o777);
	copyFileSync(join(import.meta.dirname, "../support/lives/sockets.py"), script);
	const source = join(import.meta.dirname, "../support/lives/keeping.c");
	execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-o", keeping, source]);
});
const [script, keeping] = [join(directory, "sockets.py"), join(directory, "keeping")];

/** Listens with a filter of the most instructions, each of which says to take the packet; descriptor 9 says that it does. */
const FILTERED = `
import ctypes, os, socket, struct, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xffffffff) * 4096)
s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("H6xQ", 4096, ctypes.addressof(code)))
os.dup2(s.fileno(), 9); time.sleep(1000)
`;

/** The same with a program of eBPF. */
const FILTERED_BY_EBPF = `
import ctypes, os, socket, struct, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
code = ctypes.create_string_buffer(struct.pack("<BBhi", 0xb7, 0, 0, 0x7fffffff) + struct.pack("<BBhi", 0x95, 0, 0, 0))
license = ctypes.create_string_buffer(b"GPL")
load = ctypes.create_string_buffer(struct.pack("IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(license)), 128)
program = ctypes.CDLL(None).syscall(321, 5, load, 128)
s.setsockopt(socket.SOL_SOCKET, 50, program); os.close(program)
os.dup2(s.fileno(), 9); time.sleep(1000)
`;

/**
 * Has a socket that is not bound and one that listens; an orphan of another user has unix sockets in whose names are rows of
 * /proc/net/unix about them. Descriptor 9 says that all is done.
 */
const SLANDERED = `
import os, socket, time
idle = socket.socket(); listening = socket.socket(); listening.bind(("127.0.0.1", 0)); listening.listen()
inodes = [os.fstat(s.fileno()).st_ino for s in (idle, listening)]
done, say = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        idle.close(); listening.close(); os.setuid(65534)
        liars = [socket.socket(socket.AF_UNIX) for _ in inodes]
        for liar, inode in zip(liars, inodes):
            liar.bind(f"\\0liar\\n0: 00000002 00000000 00010000 0001 01 {inode} @lie")
        os.write(say, b"."); time.sleep(1000)
    os._exit(0)
os.wait(); os.read(done, 1); os.close(done); os.close(say)
os.dup2(idle.fileno(), 9); time.sleep(1000)
`;

/** Its connection was reset by its own other end; descriptor 9 says that all is done. */
const ENDED = `
import os, socket, struct, time
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
c = socket.socket(); c.connect(l.getsockname()); a = l.accept()[0]
a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); a.close(); time.sleep(0.1)
os.dup2(c.fileno(), 9); time.sleep(1000)
`;

/** A process of the script's, and what it said of its four sockets. */
async function born(log: string): Promise<{ readonly pid: number; readonly said: string[] }> {
	writeFileSync(log, "", { mode: 0o666 });
	chmodSync(log, 0o666);
	return { pid: begin(["python3", script, log]), said: await linesOf(log, 4) };
}

/** Dumps a process of Python that has descriptor 9 when it may be looked at. */
async function dumped(program: string, images: string): Promise<Ran> {
	const pid = begin(["python3", "-c", program]);
	expect(
		await soon(() =>
			room()
				.run(["ls", `/proc/${pid}/fd`])
				.stdout.includes("9"),
		),
	).toBe(true);
	return necromancer("dump", "-R", "-t", `${pid}`, "-i", images);
}

/** A port that takes CAP_NET_BIND_SERVICE, and that nobody has. */
async function lowPort(): Promise<number> {
	for (let port = 1023; ; port--) {
		const server = createServer().listen(port, "127.0.0.1");
		const free = await Promise.race([
			once(server, "listening").then(() => true),
			once(server, "error").then(() => false),
		]);
		server.close();
		if (free) return port;
	}
}

const answers = (port: number): Promise<boolean> =>
	new Promise((done) => {
		const client = createConnection({ port, host: "127.0.0.1" }, () => client.write("get\n"));
		client.on("error", () => done(false));
		client.on("data", () => {
			client.destroy();
			done(true);
		});
	});

describe.skipIf(!able)(`TCP sockets that are not connected${needs}`, () => {
	it("come back with their addresses and options: IPv4 and IPv6, listening, bound and fresh", async () => {
		const [log, images] = [join(directory, "log"), join(directory, "images")];
		const { pid, said } = await born(log);
		expect(said.map((line) => line.split(" ")[0])).toEqual(["v4", "v6", "bound", "fresh"]);
		expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await empty();
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		room().run(["kill", "-USR1", `${pid}`]);
		expect((await linesOf(log, 8)).slice(4)).toEqual(said);
	});

	it.each([
		["however long, and whoever looks is not overwritten by it", FILTERED, "filtered"],
		["also of eBPF, which the kernel does not show", FILTERED_BY_EBPF, "filtered-by-ebpf"],
	])("tell of a packet filter, %s", async (_, program, images) => {
		const { status, stdout: said } = await dumped(program, join(directory, images));
		expect(status).toBe(0);
		expect(said).toContain("is a socket with a packet filter (SO_ATTACH_FILTER), which is not kept");
	});

	it("are what they are, whatever others write into the table of unix sockets", async () => {
		const images = join(directory, "slandered");
		expect(await dumped(SLANDERED, images)).toMatchObject({ status: 0, stderr: "" });
		expect(necromancer("show", images).stdout).not.toContain("unix");
	});

	it("are told from a connection that has come to its end, which is refused", async () => {
		const { status, stderr } = await dumped(ENDED, join(directory, "ended"));
		expect(status).not.toBe(0);
		expect(stderr).toMatch(/descriptors? .*a TCP connection that is closed/);
	});

	it("have a port that their user may not take, where root's word is enough, and not by anybody else's", async () => {
		const images = join(directory, "low");
		const port = await lowPort();
		const pid = begin([keeping, `${port}`, "16", "65534"]);
		const isUser = (): boolean =>
			/^Uid:\t65534\t65534.*^CapEff:\t0+$/ms.test(readFileSync(room().path(`/proc/${pid}/status`), "latin1"));
		expect(
			await soon(
				() =>
					isUser() &&
					room()
						.run(["ls", `/proc/${pid}/fd`])
						.stdout.includes("4"),
			),
		).toBe(true);
		expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await empty();
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		expect(isUser()).toBe(true);
		expect(await answers(port)).toBe(true);
		await clear();
		room().run(["chown", "-R", "65534:65534", images]);
		const refused = necromancer("restore", "-d", "-i", images);
		expect(refused.status).not.toBe(0);
		expect(refused.stderr).toMatch(/bind.*EACCES.*CAP_NET_BIND_SERVICE/s);
		expect(room().pids()).toEqual([]);
	});

	it("are not bound beside somebody who listens there", async () => {
		const [log, images] = [join(directory, "log"), join(directory, "taken")];
		const { pid } = await born(log);
		expect(necromancer("dump", "-q", "-R", "-t", `${pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		const refused = necromancer("restore", "-d", "--fresh-ids", "-i", images);
		expect(refused.status).not.toBe(0);
		expect(refused.stderr).toMatch(/EADDRINUSE.*end whoever has that port/s);
		room().run(["kill", "-USR1", `${pid}`]);
		expect(readFileSync(log, "utf8")).toContain("state=10 backlog=7");
	});
});
