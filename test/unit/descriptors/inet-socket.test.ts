import type { BigIntStats } from "node:fs";
import { describe, expect, it } from "vitest";
import type { InetSocket } from "../../../src/descriptors/inet-description.ts";
import { kinds, pathOf, see } from "../../../src/descriptors/kinds.ts";
import { type Finding, loss } from "../../../src/finding.ts";
import { decodeSocketAddress, encodeSocketAddress, socketAddressText } from "../../../src/linux/socket.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { asking } from "../../support/builders/asking.ts";

const words = (...numbers: readonly number[]): Uint8Array => Uint8Array.from(numbers);

describe("an address of the internet", () => {
	it("is written as the kernel's structures have it", () => {
		const four = { port: 11300, address: words(127, 0, 0, 1) };
		expect(Buffer.from(encodeSocketAddress(four)).toString("hex")).toBe("02002c247f0000010000000000000000");
		const six = { port: 80, address: words(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), scope: 2 };
		expect(Buffer.from(encodeSocketAddress(six)).toString("hex")).toBe(
			"0a00005000000000fe80000000000000000000000000000102000000",
		);
		for (const address of [four, six]) expect(decodeSocketAddress(encodeSocketAddress(address))).toEqual(address);
		expect(decodeSocketAddress(words(2, 0, 1))).toBeUndefined();
		expect(decodeSocketAddress(words(1, 0, 47, 0))).toBeUndefined();
	});

	it.each([
		["127.0.0.1:80", words(127, 0, 0, 1)],
		["[::]:80", new Uint8Array(16)],
		["[::1]:80", words(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
		["[fe80::]:80", words(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
		["[1:0:2::3:0:10]:80", words(0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 16)],
		["[1:2:3:4:5:6:7:8]:80", words(0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8)],
	])("%s", (text, address) => {
		expect(socketAddressText({ port: 80, address })).toBe(text);
	});
});

/** As CRIU 4.2 wrote the listener of beanstalkd. */
const isk = {
	...{ id: 7, ino: 4711, family: 2, type: 1, proto: 6, state: 10, src_port: 11300, dst_port: 0, flags: 0x802 },
	...{ backlog: 1024, src_addr: [0x0100007f], dst_addr: [0], ns_id: 2 },
	fown: { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 },
	opts: {
		...{ so_sndbuf: 16384, so_rcvbuf: 131072, so_buf_lock: 0, so_snd_tmo_sec: 0n, so_snd_tmo_usec: 0n },
		...{ so_rcv_tmo_sec: 1n, so_rcv_tmo_usec: 5n, reuseaddr: true, so_reuseport: false, so_priority: 0 },
		...{ so_rcvlowat: 1, so_dontroute: false, so_no_check: false, so_broadcast: false, so_keepalive: true },
		...{ so_oobinline: 0, so_filter: [], so_linger: 0 },
	},
	tcp_opts: { cork: false, nodelay: true, keepcnt: 9, keepidle: 7200, keepintvl: 75 },
} as const;
const entry = { type: 4, id: 7, isk };
const images = { subject: "files.img" } as never;
const writer = { owner: isk.fown, subject: "descriptor 3", report: () => {} } as never;
const listener = kinds["inet-socket"].images.from(entry, images) as InetSocket;

describe("a socket in images", () => {
	it("is read, and written as it was", () => {
		expect(listener).toMatchObject({
			...{ kind: "inet-socket", id: 7, flags: 0x802, state: 10, backlog: 1024, linger: 0 },
			source: { port: 11300, address: words(127, 0, 0, 1) },
			options: { "reuse address": 1, "reuse port": 0, "keep alive": 1, "no delay": 1, "keep alive idle": 7200 },
			timeouts: { send: 0n, receive: 1_000_005n },
		});
		expect(pathOf(listener)).toBe("127.0.0.1:11300");
		expect(kinds["inet-socket"].images.to(listener, writer)).toEqual(entry);
	});

	it.each(["src_port", "dst_port"] as const)("has no port beyond the last (%s)", (field) => {
		const beyond = { ...entry, isk: { ...isk, [field]: 65_536 } };
		expect(() => kinds["inet-socket"].images.from(beyond, images)).toThrow(
			"files.img: socket 7 has port 65536, expected at most 65535",
		);
	});

	it.each([
		["a TCP connection to 127.0.0.1:80", { state: 1, target: { port: 80, address: words(127, 0, 0, 1) } }],
		["a TCP connection that is closed", { state: 7, shutdown: 3 }],
		["a UDP socket", { state: 7, type: 2, protocol: 17 }],
		["an internet socket that is not of TCP", { type: 3, protocol: 1 }],
		[undefined, { state: 7 }],
		[undefined, {}],
	])("%s cannot be opened again", (what, more) => {
		expect(kinds["inet-socket"].making.unopenable({ ...listener, ...more })).toBe(what);
	});
});

describe("a living socket", () => {
	const open = {
		...{ number: 3, link: "socket:[4711]", info: parseFdinfo("flags:\t02004002"), stat: { ino: 4711n } as BigIntStats },
	};
	const socket = (tcpState: number) => () => ({ family: "inet" as const, tcpState, words: "a TCP socket" });

	it("that is connected cannot be dumped", () => {
		expect(see(open, asking({ socket: socket(1) })).undumpable).toBe("a TCP socket");
	});

	it("tells its options, its address, and what waits", async () => {
		const findings: Finding[] = [];
		const info = Buffer.alloc(32);
		info.writeUInt8(10, 0);
		info.writeUInt32LE(2, 24);
		info.writeUInt32LE(1024, 28);
		const int = (value: number): Buffer => Buffer.from(Int32Array.of(value).buffer);
		const answers = new Map([
			...[
				["1 39", int(2)],
				["1 3", int(1)],
				["1 38", int(6)],
				["6 11", info],
				["1 2", int(1)],
			],
			...[
				["1 13", Buffer.concat([int(1), int(5)])],
				["6 9", int(1)],
				["6 7", int(6)],
				["6 8", int(20)],
				["6 13", Buffer.from("reno\0\0\0\0")],
				["1 25", Buffer.from("eth0\0")],
			],
		] as [string, Buffer][]);
		const ask = asking({
			socket: socket(10),
			socketOptions: async (_, asked) => asked.map(({ level, option }) => answers.get(`${level} ${option}`)),
			sysctl: (name) => ({ "net/ipv4/tcp_syn_retries": "6", "net/ipv4/tcp_fin_timeout": "60" })[name] ?? "cubic",
			socketName: async () => Buffer.from("02002c247f0000010000000000000000", "hex"),
			report: (finding) => findings.push(finding),
		});
		const described = await see(open, ask).describe({ id: 1, flags: 0x802 }, ask);
		expect(described).toEqual({
			...{ kind: "inet-socket", id: 1, flags: 0x802, inode: 4711, family: 2, type: 1, protocol: 6, state: 10 },
			source: { port: 11300, address: words(127, 0, 0, 1) },
			target: { port: 0, address: words(0, 0, 0, 0) },
			...{ backlog: 1024, linger: 5, device: "eth0", timeouts: { send: 0n, receive: 0n } },
			options: { "reuse address": 1 },
		});
		expect(findings).toEqual([
			loss("attribute", "descriptor 3", "is a socket with TCP_DEFER_ACCEPT, which is not kept"),
			loss("attribute", "descriptor 3", "is a socket with TCP_LINGER2, which is not kept"),
			loss("attribute", "descriptor 3", "is a socket with TCP_CONGESTION reno, which is not kept"),
			loss("queued-data", "descriptor 3", "has 2 connections that nobody accepted yet; they are closed"),
		]);
	});
});
