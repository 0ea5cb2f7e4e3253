import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

// Unix sockets: what the process itself says of them is the same before a dump and after the restore, and so is what waits in them.

const able = canHaveRooms() && hasTool("python3");
const needs = able ? "" : " (needs root, unshare, nsenter and python3)";

const { directory, room, necromancer, begin, empty } = ownRoom({ able }, () => {
	chmodSync(directory, 0o777);
	copyFileSync(join(import.meta.dirname, "../support/lives/unix-sockets.py"), script);
});
const script = join(directory, "unix-sockets.py");

/** Lines about each of them and their files. */
const TOLD = 17;

/** A process of the script's, and what it said of its sockets. */
async function born(called: string) {
	const [log, names] = [join(directory, `${called}.log`), join(directory, called)];
	writeFileSync(log, "", { mode: 0o666 });
	chmodSync(log, 0o666);
	mkdirSync(names);
	chmodSync(names, 0o777);
	const pid = begin(["python3", script, log, names]);
	return { pid, log, names, said: await linesOf(log, TOLD) };
}

describe.skipIf(!able)(`unix sockets${needs}`, () => {
	it("come back with their names, ends, queues and options, as their user's own", async () => {
		const images = join(directory, "images");
		const { pid, log, said } = await born("all");
		expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await empty();
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		room().run(["kill", "-USR1", `${pid}`]);
		const after = (await linesOf(log, 2 * TOLD + 10)).slice(TOLD);
		expect(after.slice(0, TOLD)).toEqual(said);
		expect(after.slice(TOLD)).toEqual([
			"accepted b'to the server' client b'to the client'",
			"other b'one' b'two' b'a third that is longer' b''",
			"box b'from one who is there' from b'\\x00sender of PID' b'from one who is gone' from b'\\x00gone of PID'",
			"blanks b'' b'between' b'' b'' b'behind' b''",
			"empties b'' b'' b'something' b''",
			"deleted b'by a name that is gone' left b'the last words' b''",
			"waiting b'at last' own 65534:65534",
			"relative b'new'",
			"caller b'still'",
			"ours b'the child heard us'",
		]);
	});

	it("take no name that another has: a living server's, or a file's that is no socket", async () => {
		const images = join(directory, "taken");
		const { pid, names } = await born("taken-names");
		expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await empty();
		const listener = join(names, "listener");
		writeFileSync(`${listener}.log`, "");
		const live = begin(["python3", "-c", TAKES, listener]);
		await linesOf(`${listener}.log`, 1);
		const refused = necromancer("restore", "-d", "-i", images);
		expect(refused.status).not.toBe(0);
		expect(refused.stderr).toMatch(
			/nobody is bound to .*listener\): connect\(.*returned EPROTOTYPE; end whoever has that name/,
		);
		room().run(["kill", "-9", `${live}`]);
		room().run(["rm", listener]);
		writeFileSync(listener, "precious");
		const kept = necromancer("restore", "-d", "-i", images);
		expect(kept.stderr).toMatch(/what has the path of .*listener is a socket\)/);
		expect(room().run(["cat", listener]).stdout).toBe("precious");
		// nor where a link of somebody's leads
		room().run(["rm", listener]);
		room().run(["ln", "-s", `${listener}.log`, listener]);
		const unled = necromancer("restore", "-d", "-i", images);
		expect(unled.stderr).toMatch(/what has the path of .*listener is a socket\): openat\(.*returned ELOOP/);
		expect(room().run(["cat", `${listener}.log`]).stdout).toBe("there\n");
		room().run(["rm", listener]);
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
	});

	it("neither make nor remove files where their user may not, wherever he has their names lead", async () => {
		const [top, closed] = [join(directory, "top"), join(directory, "closed")];
		const [led, left] = [join(directory, "led"), join(directory, "left")];
		room().run(["mkdir", "-m", "755", top]);
		room().run(["mkdir", "-m", "700", closed]);
		for (const [images, how] of [
			[led, "led"],
			[left, "left"],
		] as const) {
			room().run(["install", "-d", "-o", "65534", "-m", "755", join(top, "way")]);
			const log = join(directory, `${how}.way`);
			writeFileSync(log, "", { mode: 0o666 });
			chmodSync(log, 0o666);
			const pid = begin(["python3", "-c", ASTRAY, top, log, how]);
			await linesOf(log, 1);
			expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
			await empty();
			room().run(["rm", "-r", join(top, "way")]);
		}
		room().run(["ln", "-s", closed, join(top, "way")]);
		for (const place of [closed, top]) room().run(["python3", "-c", DIES, join(place, "s")]);
		const made = necromancer("restore", "-d", "-i", led);
		expect(made.stderr).toMatch(/a file for unix socket .*way\/s, if there is none\): mknodat\(.*returned EACCES/);
		// what failed is undone, and that is nobody else's file
		expect(room().run(["stat", "-c", "%n %u", join(closed, "s")]).stdout).toBe(`${join(closed, "s")} 0\n`);
		// a directory that he had open to read is not his to write to
		const refused = necromancer("restore", "-d", "-i", left);
		expect(refused.stderr).toMatch(/top: may not be used by uid 65534 \(EACCES\)/);
		expect(room().run(["ls", top]).stdout).toBe("s\nway\n");
	});
});

/** As nobody, with a relative name that begins in a directory of root's; or with one that it does not have any more. */
const ASTRAY = `
import os, socket, sys, time
top, log, how = sys.argv[1:]
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
held = os.open(top, os.O_RDONLY)
os.chdir(top if how == "led" else top + "/way")
s = socket.socket(socket.AF_UNIX); s.bind("way/s" if how == "led" else "s"); s.listen()
if how == "left": os.rename("s", "t")
os.chdir(top)
open(log, "w").write("there\\n"); time.sleep(1000)
`;

/** Leaves the file of a socket behind. */
const DIES = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";

/** Listens there, and says so in a file beside it. */
const TAKES = `
import os, socket, sys, time
os.path.exists(sys.argv[1]) and os.unlink(sys.argv[1])
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
os.chmod(sys.argv[1], 0o777); open(sys.argv[1] + ".log", "w").write("there\\n"); time.sleep(1000)
`;
