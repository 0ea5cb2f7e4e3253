import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, coresLandHere } from "../support/lives/room.ts";
import { hasGcc, hasTool } from "../support/tools.ts";

// Servers that listen: a dead one's state with a living one's descriptors, whose addresses are others (ASLR). Then a client is served.

const able = canHaveRooms() && coresLandHere() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter, gcc and a core_pattern that is a plain name)";

/** Where a descriptor leads; nothing for one that its process has closed meanwhile. */
function linkIfOpen(path: string): string {
	try {
		return readlinkSync(path);
	} catch {
		return "";
	}
}

/** A server, and what is asked of it. */
interface Server {
	readonly name: string;
	/** Whether it is here. */
	readonly here: boolean;
	/** @param varying differs from one run to the next. */
	command(port: number, varying: number): readonly string[];
	/** What a client says to leave something with it, and to get it back; and what is answered. */
	readonly keep: readonly [asked: string, answer: RegExp];
	readonly fetch: readonly [asked: string, answer: RegExp];
	/** What is said of the addresses that epoll gives back to it. */
	readonly words: RegExp | undefined;
}

const { directory, room, necromancer, begin, clear, kill } = ownRoom({ able }, () => {
	const source = join(import.meta.dirname, "../support/lives/keeping.c");
	execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-o", keeping, source]);
});
const keeping = join(directory, "keeping");
const moved =
	/epoll descriptor \d+: watches \d+ with addresses, moved to this layout; what they lead to looks as in the donor/;
const found =
	/epoll descriptor \d+: watches \d+ with addresses, which were found in the core by what they lead to in the donor/;
const kept: Pick<Server, "keep" | "fetch"> = {
	keep: ["set precious\n", /^ok\n$/],
	fetch: ["get\n", /^precious\n$/],
};
const servers: readonly Server[] = [
	{ name: "a server in nginx's manner", here: able, command: (port) => [keeping, `${port}`], ...kept, words: moved },
	{
		name: "one whose objects lie elsewhere on the heap",
		here: able,
		command: (port, varying) => [keeping, `${port}`, `${varying}`],
		...kept,
		words: found,
	},
	{
		name: "beanstalkd",
		here: able && hasTool("beanstalkd", ["-v"]),
		command: (port) => ["beanstalkd", "-l", "127.0.0.1", "-p", `${port}`],
		keep: ["put 1 0 60 5\r\nhello\r\n", /^INSERTED 1\r\n$/],
		fetch: ["reserve-with-timeout 1\r\n", /^RESERVED 1 5\r\nhello\r\n$/],
		words: moved,
	},
	{
		name: "redis",
		here: able && hasTool("redis-server"),
		command: (port) => [
			...["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
			...["--crash-log-enabled", "no"],
		],
		keep: ["SET k precious\r\n", /^\+OK\r\n$/],
		fetch: ["GET k\r\n", /^\$8\r\nprecious\r\n$/],
		words: undefined,
	},
];

/** What a new client is answered; as much as came in three seconds where it is not what was expected, or why nothing did. */
const ask = (port: number, asked: string, answer: RegExp): Promise<string> =>
	new Promise((done) => {
		let said = "";
		const client = createConnection({ port, host: "127.0.0.1" }, () => client.write(asked));
		const over = (text: string): void => {
			client.destroy();
			done(text);
		};
		client.setTimeout(3000, () => over(`${said} (timeout)`));
		client.on("error", (error) => over(error.message));
		client.on("close", () => over(said));
		client.on("data", (bytes: Buffer) => {
			said += bytes.toString("latin1");
			if (answer.test(said)) over(said);
		});
	});

const isUp = (port: number): Promise<boolean> =>
	new Promise((done) => {
		const client = createConnection({ port, host: "127.0.0.1" }, () => {
			client.destroy();
			done(true);
		});
		client.on("error", () => done(false));
	});

/** A port that was free a moment ago. */
const freePort = (): number => {
	const script =
		'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })';
	return Number(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" }));
};

async function born({ command, fetch }: Server, port: number, varying: number, at: string): Promise<number> {
	const pid = begin(command(port, varying), { at, output: "log" });
	for (let i = 0; i < 200 && !(await isUp(port)); i++) await sleep(20);
	// whoever is answered stood behind all who came before, and left as they did
	expect(await ask(port, fetch[0], /\n$/)).toMatch(/\n$/);
	const sockets = (): number =>
		readdirSync(room().path(`/proc/${pid}/fd`)).filter((fd) =>
			linkIfOpen(room().path(`/proc/${pid}/fd/${fd}`)).startsWith("socket:"),
		).length;
	expect(await soon(() => sockets() === 1)).toBe(true);
	return pid;
}

/** The images of the dead process, made of its core and of the images of a living one. */
async function patched(server: Server, port: number, at: string): Promise<string> {
	const [donor, out] = [join(at, "donor"), join(at, "out")];
	const lender = await born(server, port, 48, at);
	expect(necromancer("dump", "-q", "-t", `${lender}`, "-i", donor)).toMatchObject({ status: 0, stderr: "" });
	await clear();
	const pid = await born(server, port, 4096, at);
	expect(await ask(port, ...server.keep)).toMatch(server.keep[1]);
	const core = await kill(pid, "ABRT", at);
	const { status, stdout, stderr } = necromancer("--trust", "-v", "-c", core, "-i", donor, "-o", out);
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	expect(stdout).toContain("nothing lost");
	if (server.words !== undefined) expect(stdout).toMatch(server.words);
	return out;
}

for (const server of servers)
	describe.skipIf(!server.here)(
		`${server.name}, patched with a donor${server.here ? "" : `${needs} (is not here)`}`,
		() => {
			it("serves a new client what the dead one had kept", async () => {
				const at = join(directory, server.name.replaceAll(" ", "-"));
				mkdirSync(at);
				const port = freePort();
				const images = await patched(server, port, at);
				expect(necromancer("restore", "--trust", "-d", "-i", images)).toMatchObject({ status: 0 });
				expect(await ask(port, ...server.fetch)).toMatch(server.fetch[1]);
			});
		},
	);
