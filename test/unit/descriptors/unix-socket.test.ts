import type { BigIntStats } from "node:fs";
import { describe, expect, it } from "vitest";
import { extent } from "../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { FileEntry } from "../../../src/criu/wire/generated/schema.ts";
import { kinds, pathOf, see } from "../../../src/descriptors/kinds.ts";
import { groupsOf, type UnixMessage, type UnixSocket } from "../../../src/descriptors/unix-description.ts";
import { unixSightsOf } from "../../../src/descriptors/unix-sights.ts";
import { decodeUnixAddress, encodeUnixAddress, unixName, unixNameText } from "../../../src/linux/unix.ts";
import { decodeUnixDiag, type UnixDiag, unixDiagRequest } from "../../../src/linux/unix-diag.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { asking } from "../../support/builders/asking.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

describe("a name of a unix socket", () => {
	it.each([
		["a path", "01002f722f73", "/r/s", bytes("/r/s")],
		["one without a file", "01000078", "@x", bytes("\0x")],
	])("%s", (_, hex, text, name) => {
		expect(Buffer.from(encodeUnixAddress(name)).toString("hex")).toBe(hex);
		expect(decodeUnixAddress(Buffer.from(hex, "hex"))).toEqual(name);
		expect(unixNameText(name)).toBe(text);
	});

	it("has a NUL behind a path in images, and none here", () => {
		expect(unixName(bytes("s\0"))).toEqual(bytes("s"));
		expect(unixName(bytes("\0s\0"))).toEqual(bytes("\0s\0"));
		expect([unixName(bytes("")), decodeUnixAddress(bytes("\u0001\0")), decodeUnixAddress(bytes("\u0002\0/s"))]).toEqual(
			[undefined, undefined, undefined],
		);
	});
});

/** As the kernel answered about a listener of two connections, at one of which somebody waits. */
const ANSWER =
	"5c00000014000000000000000100000001010a003700000001000000000000000c0000002f746d702f6c73000c000100410000000100800008000200" +
	"0000000008000300380000000c00040001000000020000000500060000000000";

describe("what unix_diag tells", () => {
	it("is asked for by the number of the socket", () => {
		const request = Buffer.from(unixDiagRequest(0x1234));
		expect(request.toString("hex")).toBe(
			"28000000140001000000000000000000" + "01000000ffffffff341200001f000000ffffffffffffffff",
		);
	});

	it("is read", () => {
		expect(decodeUnixDiag(Buffer.from(ANSWER, "hex"))).toEqual({
			...{ inode: 55, type: 1, state: 10, name: bytes("/tmp/ls"), file: 65, peer: 0, waiting: [56] },
			...{ queued: 1, room: 2, shutdown: 0 },
		});
		const failed = Buffer.from("2400000002000000000000000100000000fffffe", "hex");
		expect([decodeUnixDiag(failed), decodeUnixDiag(bytes("")), decodeUnixDiag(bytes("\xff".repeat(64)))]).toEqual([
			undefined,
			undefined,
			undefined,
		]);
	});
});

const fown = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
/** As CRIU 4.2 writes the options of a socket. */
const opts = {
	...{ so_sndbuf: 212992, so_rcvbuf: 212992, so_buf_lock: 0, so_snd_tmo_sec: 0n, so_snd_tmo_usec: 0n },
	...{ so_rcv_tmo_sec: 1n, so_rcv_tmo_usec: 5n, reuseaddr: false, so_reuseport: false, so_priority: 0, so_rcvlowat: 1 },
	...{ so_dontroute: false, so_no_check: false, so_broadcast: false, so_keepalive: false, so_oobinline: 0 },
	...{ so_passcred: true, so_passsec: false, so_filter: [] },
};
const usk = (id: number, ino: number, more: object) => ({
	...{ type: 5, id },
	usk: {
		...{ id, ino, type: 1, state: 1, flags: 2, uflags: 0, backlog: 0, peer: 0, fown, opts, name: bytes("") },
		...more,
	},
});
const listener = usk(1, 70, {
	...{ state: 10, backlog: 5, name: bytes("s\0"), name_dir: "/run" },
	file_perms: { mode: 0o140600, uid: 7, gid: 8 },
});
const accepted = usk(2, 71, { peer: 72, name: bytes("s\0"), name_dir: "/run" });
const client = usk(3, 72, { peer: 71, shutdown: 2 });
const outside = usk(4, 90, { peer: 91 });
const entries = new Map([listener, accepted, client, outside].map((entry) => [entry.id, entry]));
const message: UnixMessage = { content: extent(fromBuffer("m", Buffer.from("hello")), 0n, 5n) };
const images = {
	subject: "files.img",
	entries,
	packets: new Map([[2, [message]]]),
	beside: { file: () => undefined },
} as never;
const read = (entry: { readonly id: number }): UnixSocket =>
	kinds["unix-socket"].images.from(entry as never, images) as UnixSocket;

describe("a unix socket in images", () => {
	it("is read, and written as it was", () => {
		expect(read(listener)).toMatchObject({
			...{ state: 10, backlog: 5, name: bytes("s"), directory: "/run", file: { mode: 0o140600, uid: 7, gid: 8 } },
			...{ options: { "pass credentials": 1 }, timeouts: { send: 0n, receive: 1_000_005n }, queue: [] },
		});
		expect(pathOf(read(listener))).toBe("/run/s");
		expect(read(accepted)).toMatchObject({ peer: 72, queue: [message], group: 70 });
		expect(read(client)).toMatchObject({ peer: 71, shutdown: 2, group: 70 });
		const told: UnixMessage[] = [];
		const writer = { owner: fown, subject: "", report: () => {}, packet: (it: UnixMessage) => told.push(it) } as never;
		for (const entry of [listener, accepted, client])
			expect(plain(kinds["unix-socket"].images.to(read(entry), writer))).toEqual(entry);
		expect(told).toEqual([message]);
	});

	it("is refused by what it is where it cannot be made", () => {
		const words = (entry: { readonly id: number }, more: object = {}) =>
			kinds["unix-socket"].making.unopenable({ ...read(entry), ...more } as UnixSocket);
		expect([words(listener), words(accepted), words(client)]).toEqual([undefined, undefined, undefined]);
		expect(words(outside)).toBe("a unix socket that is connected to a process which is not here");
		expect(words(client, { type: 3 })).toBe("a unix socket of type 3");
		expect(words(client, { state: 2 })).toBe("a unix socket in state 2");
		expect(words(client, { queue: [{ ...message, rights: [9] }] })).toBe(
			"a unix socket in which descriptors wait (SCM_RIGHTS)",
		);
		const { directory: _, ...nowhere } = read(listener);
		expect(kinds["unix-socket"].making.unopenable(nowhere)).toBe(
			"a unix socket with a relative name of which nobody knows where it begins",
		);
	});
});

/** Its name as plain bytes. */
const plain = (entry: FileEntry): object => ({
	...entry,
	usk: { ...entry.usk, name: new Uint8Array(entry.usk?.name ?? []) },
});

const diag = (inode: number, more: Partial<UnixDiag> = {}): UnixDiag => ({
	...{ inode, type: 1, state: 1, waiting: [], queued: 0, room: 0, shutdown: 0 },
	...more,
});

describe("a living unix socket", () => {
	const all = [
		diag(5, { state: 10, name: bytes("\0n"), waiting: [8, 99], room: 4 }),
		...[diag(6, { name: bytes("\0n"), peer: 7, queued: 5 }), diag(7, { peer: 6 })],
		...[diag(8, { peer: 0 }), diag(9, { peer: 0 }), diag(10, { peer: 0, shutdown: 3 }), diag(11, { peer: 44 })],
	];
	const unix = unixSightsOf(all);
	const open = (inode: number) => ({
		...{ number: 3, link: `socket:[${inode}]`, info: parseFdinfo("") },
		stat: { mode: 0o140777n, ino: BigInt(inode) } as BigIntStats,
	});
	const told: string[] = [];
	const ask = asking({ unix, messages: async () => [message], report: ({ text }) => void told.push(text) });
	const found = async (inode: number) => await see(open(inode), ask).describe({ id: 1, flags: 2 }, ask);

	it("is one of a group: whoever listens, what it accepted, who is connected to that and who waits", async () => {
		expect([...groupsOf(all)]).toEqual(
			[5, 6, 7, 8, 9, 10, 11].map((inode) => [inode, [6, 7].includes(inode) ? 5 : inode]),
		);
		expect(await found(8)).toMatchObject({ peer: 5, group: 5 });
		expect(await found(6)).toMatchObject({ peer: 7, group: 5, queue: [message] });
		expect(await found(5)).toMatchObject({ state: 10, backlog: 4, group: 5, queue: [] });
		expect(told).toEqual(["has 1 connections that nobody accepted yet; they are closed"]);
	});

	it("tells whom it told of who is not dumped", async () => {
		const cred = Buffer.from(Int32Array.of(77, 1000, 1000).buffer);
		const socketOptions = async (_: unknown, asked: readonly { readonly option: number }[]) =>
			asked.map(({ option }) => (option === 17 ? cred : undefined));
		const said = async (pids: readonly number[]) => {
			const heard: string[] = [];
			const own = unixSightsOf(all, pids);
			const asked = asking({ unix: own, socketOptions, report: ({ text }) => void heard.push(text) });
			await see(open(7), asked).describe({ id: 1, flags: 2 }, asked);
			return heard;
		};
		expect(await said([77])).toEqual([]);
		expect(await said([78])).toEqual([
			"tells of process 77, user 1000:1000 (SO_PEERCRED), which is not dumped; it will tell of whoever makes it",
		]);
	});

	it("is named where others have to do with it who are not dumped", () => {
		const words = (inode: number) => see(open(inode), ask).undumpable;
		expect(words(9)).toBe("a unix socket that waits to be accepted by a process which is not dumped");
		expect(words(11)).toBe("a unix socket that is connected to a process which is not dumped");
		expect(words(10)).toBeUndefined();
		expect(see(open(50), { ...ask, socket: () => ({ family: "unix", words: "" }) }).undumpable).toBe(
			"a unix socket of which the kernel does not tell (CONFIG_UNIX_DIAG)",
		);
	});
});
