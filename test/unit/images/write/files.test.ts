import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileOffset } from "../../../../src/bytes/address.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import type { GhostFile, Task } from "../../../../src/forest/task.ts";
import { map, smallTask } from "../../../support/builders/small-task.ts";
import { writeImagesOf } from "../../../support/builders/written-images.ts";
import { present } from "../../../support/present.ts";
import { scratch } from "../../../support/scratch.ts";
import { type Message, type ReadImages, readImages } from "../../../support/witness/image-reader.ts";
import { bytes, delimited, framed, imageBytes, number } from "../../../support/witness/wire.ts";

async function anew(task: Task): Promise<{ told: string[]; images: ReadImages; entry(id: number): Message }> {
	const out = join(scratch(), "images");
	const told = await writeImagesOf(task, out);
	const images = readImages(out);
	return {
		told,
		images,
		entry: (id) => present(images.records("files.img").find((it) => it.number(2) === BigInt(id))),
	};
}
const opened = (...open: Description[]) => anew(smallTask({ open }));

const FILE = { kind: "file", id: 7, path: "/f", flags: 0x8002, position: 12n, unlinked: false } as const;
const [REG, FIFO, EXT] = [1n, 3n, 16n];
const stored = fromBuffer("stored", Buffer.from("0123456789abcdef"));

describe("file entries", () => {
	test("have the ids of descriptions, and what is mapped takes those between", async () => {
		const { images } = await opened({ ...FILE, id: 1 }, { ...FILE, id: 3 });
		const named = images.records("files.img").map((it) => [it.number(2), it.message(3).text(6)]);
		expect(named.sort()).toEqual([
			[1n, "/f"],
			[2n, "/bin/small"],
			[3n, "/f"],
			[4n, "/tmp"],
			[5n, "/"],
		]);
		expect([1, 2].map((field) => present(images.records("fs-500.img")[0]).number(field))).toEqual([4n, 5n]);
		expect(present(images.records("mm-500.img")[0]).number(12)).toBe(2n);
	});

	test("are made once for descriptors that share a description", async () => {
		const task = smallTask({
			files: {
				descriptors: [
					{ number: 0, closeOnExec: true, description: FILE },
					{ number: 5, closeOnExec: false, description: FILE },
				],
			},
		});
		const { images } = await anew(task);
		expect(images.records("files.img").filter((it) => it.number(2) === 7n)).toHaveLength(1);
		expect(images.records("fdinfo-2.img").map((it) => [1, 2, 3, 4].map((field) => it.number(field)))).toEqual([
			[7n, 1n, REG, 0n],
			[7n, 0n, REG, 5n],
		]);
	});

	test("say how a file looked where that is known, and nothing where it is not", async () => {
		const { entry } = await opened(FILE, { ...FILE, id: 8, size: 9n, mode: 0o100600, buildId: "0123456789" });
		expect(entry(7).message(3).fields).toEqual([1, 2, 3, 5, 6]);
		const looks = entry(8).message(3);
		expect([looks.number(8), looks.number(10), looks.numbers(11)]).toEqual([9n, 0o100600n, [0x67452301n, 0x89n]]);
	});

	test("name who gets SIGIO, and as whom he was named", async () => {
		const owner = { type: 2, pid: 77, signal: 34 };
		const { entry } = await opened({ ...FILE, owner });
		const fown = entry(7).message(3).message(5);
		expect([1, 2, 3, 4, 5].map((field) => fown.number(field))).toEqual([1000n, 1001n, 34n, 2n, 77n]);
	});
});

describe("pipes", () => {
	const held = { source: stored, offset: fileOffset(10), length: 4n, available: 4n };

	test("are written with what waits in them, once for both ends", async () => {
		const pipe = { id: 33, capacity: 65536, content: held };
		const { images } = await opened({ kind: "pipe", id: 1, flags: 0, pipe }, { kind: "pipe", id: 2, flags: 1, pipe });
		const queue = framed([...number(1, 33), ...number(2, 4), ...number(3, 65536)]);
		expect(images.raw("pipes-data.img")).toEqual(imageBytes(0x56453709, queue, [...Buffer.from("abcd")]));
	});

	test("without name are told from those with one, whatever their numbers", async () => {
		const { images, entry } = await opened(
			{ kind: "pipe", id: 1, flags: 0, pipe: { id: 33, capacity: 4096 } },
			{ kind: "fifo", id: 2, flags: 0x802, pipe: { id: 33, content: held }, file: { path: "/fifo", mode: 0o010644 } },
		);
		expect(images.raw("pipes-data.img")).toEqual(
			imageBytes(0x56453709, framed([...number(1, 33), ...number(2, 0), ...number(3, 4096)])),
		);
		expect(images.raw("fifo-data.img")).toEqual(
			imageBytes(0x59333054, framed([...number(1, 33), ...number(2, 4)]), [...Buffer.from("abcd")]),
		);
		const fifo = entry(2).message(17);
		expect([entry(2).number(1), fifo.number(2)]).toEqual([FIFO, 33n]);
		const named = entry(Number(fifo.number(3))).message(3);
		expect([named.text(6), named.number(2), named.number(10)]).toEqual(["/fifo", 0x802n, 0o010644n]);
	});

	test("of which nothing is known have no queue", async () => {
		const { images } = await opened({ kind: "pipe", id: 1, flags: 0, pipe: { id: 33 } });
		expect(images.names).not.toContain("pipes-data.img");
	});
});

describe("files that had lost their names", () => {
	const ghost: GhostFile = {
		...{ id: 26, path: "/gone", mode: 0o100640, uid: 3, gid: 4, size: 5000n },
		contents: [
			{ start: fileOffset(0n), length: 3n, source: stored, offset: fileOffset(2), available: 3n },
			{ start: fileOffset(4096n), length: 4n, source: stored, offset: fileOffset(10), available: 2n },
			{ start: fileOffset(4999n), length: 1n, source: stored, offset: fileOffset(0), available: 0n },
		],
		...{ accessed: 1_700_000_000_123_456_789n, modified: 1_600_000_000_000_000_000n },
	};
	const time = (seconds: number, microseconds: number): number[] => [...number(1, seconds), ...number(2, microseconds)];

	test("lie in an image of their own, chunk by chunk; holes stay holes", async () => {
		const { images } = await anew(smallTask({ memory: { ghosts: [ghost] } }));
		expect(images.raw("ghost-file-1a.img")).toEqual(
			imageBytes(
				0x52583605,
				framed([
					...[...number(1, 3), ...number(2, 4), ...number(3, 0o100640)],
					...delimited(7, time(1_700_000_000, 123_456)),
					...delimited(8, time(1_600_000_000, 0)),
					...[...number(9, 1), ...number(10, 5000)],
				]),
				[...framed([...number(1, 3), ...number(2, 0)]), ...bytes("32 33 34")],
				[...framed([...number(1, 2), ...number(2, 4096)]), ...Buffer.from("ab")],
			),
		);
	});

	test("are named by every entry that shows them, each kind of entry its own", async () => {
		const mapping = map(0x20_0000n, 1, {
			kind: "file",
			path: "/gone",
			offset: fileOffset(0),
			writable: true,
			ghost: 26,
		});
		const alive = map(0x30_0000n, 1, { kind: "file", path: "/gone", offset: fileOffset(0), writable: false });
		const memory = {
			mappings: [...smallTask().memory.mappings, mapping, alive],
			...{ ghosts: [ghost], executable: "/gone", executableGhost: 26 },
			files: new Map([["/gone", { path: "/gone", size: 1n }]]),
		};
		const gone = { ...FILE, path: "/gone", unlinked: true, ghost: 26 };
		const { images } = await anew(smallTask({ memory, open: [gone] }));
		const [mm] = images.records("mm-500.img");
		const [, mapped, other] = present(mm).messages(14);
		const remaps = images.records("remap-fpath.img").map((it) => [1, 2, 3].map((field) => it.number(field)));
		expect(remaps).toEqual([
			[present(mm).number(12), 26n, 1n],
			[7n, 26n, 1n],
		]);
		expect(present(mapped).number(4)).toBe(present(mm).number(12));
		// another file has the name now, and what is known is known of that one
		const entries = new Map(images.records("files.img").map((it) => [it.number(2), it]));
		expect(entries.get(present(mapped).number(4))?.message(3).has(8)).toBe(false);
		expect(entries.get(present(other).number(4))?.message(3).number(8)).toBe(1n);
	});

	test("are made of their mode where they have no content", async () => {
		const { told, images } = await opened(
			{ ...FILE, id: 1, unlinked: true, mode: 0o040711 },
			{ kind: "fifo", id: 2, flags: 2, pipe: { id: 1 }, file: { path: "/fifo", mode: 0o010622 }, unlinked: true },
		);
		expect(told).toEqual([]);
		const nodes = images.names.filter((name) => name.startsWith("ghost-"));
		expect(nodes).toEqual(["ghost-file-1.img", "ghost-file-2.img"]);
		const whose = [...number(1, 1003), ...number(2, 103)];
		for (const [name, mode] of [
			["ghost-file-1.img", 0o040711],
			["ghost-file-2.img", 0o010622],
		] as const)
			expect(images.raw(name)).toEqual(imageBytes(0x52583605, framed([...whose, ...number(3, mode)])));
	});

	test("and whose content nobody saved leave their number taken", async () => {
		const { told, images, entry } = await opened({ ...FILE, unlinked: true, mode: 0o100600 });
		expect(told).toEqual(["loss descriptor 0: the deleted file /f: its number is kept, to be given something else"]);
		expect(entry(7).number(1)).toBe(EXT);
		expect(images.names).not.toContain("remap-fpath.img");
	});
});

describe("what images cannot hold", () => {
	test("a netlink socket leaves its number taken, by something no restorer opens unasked", async () => {
		const { told, images, entry } = await opened({ kind: "netlink-socket", id: 4, flags: 2 });
		expect(told).toEqual(["loss descriptor 0: netlink-socket: its number is kept, to be given something else"]);
		expect([entry(4).number(1), entry(4).message(15).number(1)]).toEqual([EXT, 4n]);
		expect(images.records("fdinfo-2.img").map((it) => it.number(3))).toEqual([EXT]);
	});

	test("an event counter that was a semaphore", async () => {
		const { told } = await opened({ kind: "eventfd", id: 1, flags: 2, counter: 3n, semaphore: true });
		expect(told).toEqual(["note descriptor 0: is a semaphore (EFD_SEMAPHORE); criu restore makes a counter of it"]);
	});

	test("what epoll watched under a number that is closed", async () => {
		const targets = [0, 9].map((target) => ({ number: target, events: 1, data: 5n }));
		const { told, entry } = await opened({ kind: "epoll", id: 1, flags: 2, targets });
		expect(told).toEqual(["loss descriptor 0: watched 9, which is closed now and open elsewhere"]);
		expect(
			entry(1)
				.message(9)
				.messages(4)
				.map((it) => it.number(2)),
		).toEqual([0n]);
	});
});
