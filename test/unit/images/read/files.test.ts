import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openImageDir } from "../../../../src/criu/image-dir.ts";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import type { GhostFile, Task } from "../../../../src/forest/task.ts";
import { taskFromImages } from "../../../../src/images/read/from-images.ts";
import {
	type BuiltFileEntry,
	type BuiltMemfd,
	image,
	memfdFile,
	pipeFile,
	writeDonor,
} from "../../../support/builders/donor-builder.ts";
import { livingDonor, withVma } from "../../../support/builders/pair.ts";
import { TTY_INFO, terminalInfo } from "../../../support/builders/terminal-image.ts";
import { present } from "../../../support/present.ts";
import { refusal } from "../../../support/refusal.ts";
import { scratch } from "../../../support/scratch.ts";
import { delimited, framed, imageBytes, number, word } from "../../../support/witness/wire.ts";

type Bytes = readonly number[];

const FREE = 0x7f20_0018_0000n;

const [FDINFO, PIPES_DATA, FIFO_DATA, REMAP, GHOST] = [0x56213732, 0x56453709, 0x59333054, 0x59133954, 0x52583605];
const NOBODY = [1, 2, 3, 4, 5].flatMap((field) => number(field, 0));
/** uid, euid, signal, type, pid. */
const owner = (signal: number, type: number, pid: number): Bytes =>
	[0, 0, signal, type, pid].flatMap((value, i) => number(i + 1, value));
const part = (field: number, ...fields: readonly Bytes[]): Bytes => delimited(field, fields.flat());
const flow = (field: number, who: Bytes = NOBODY): Bytes => delimited(field, [...who]);

/** A process with descriptors from 20 up, one for each file. */
function tasksOf(
	entries: readonly BuiltFileEntry[],
	extra: Readonly<Record<string, Buffer>> = {},
	fdinfo: readonly (readonly [fd: number, id: number, type: number, flags: number])[] = entries.map((entry, i) => [
		20 + i,
		entry.id,
		entry.type ?? 1,
		i % 2,
	]),
): Pick<Task, "files" | "memory"> & { readonly close: () => void } {
	const donor = livingDonor();
	const table = image(
		FDINFO,
		...fdinfo.map(([fd, id, type, flags]) => [number(1, id), number(2, flags), number(3, type), number(4, fd)].flat()),
	);
	const dir = openImageDir(
		writeDonor(join(scratch(), "d"), {
			...donor,
			files: [...donor.files, ...entries],
			extra: { "fdinfo-2.img": table, ...extra },
		}),
	);
	try {
		const { files, memory } = taskFromImages(dir);
		return { files, memory, close: dir.close };
	} catch (error) {
		dir.close();
		throw error;
	}
}

/** Descriptors from 20 up, one for each file, of a process with memfds and, at `FREE`, a mapping of file 50. */
function memfdsOf(
	entries: readonly (readonly [id: number, inode: number, flags?: number, position?: number])[],
	memfds: readonly BuiltMemfd[],
	mapped: boolean,
	open: readonly number[] = entries.map(([id]) => id),
): Pick<Task, "files" | "memory"> {
	const donor = livingDonor();
	const files = entries.map(([id, ...rest]) => ({ id, type: 18, body: memfdFile(id, ...rest) }));
	const vma = { start: FREE, end: FREE + 4096n, prot: 3, flags: 1, status: 0x4081, shmid: 50, fdflags: 2 };
	const dir = openImageDir(
		writeDonor(join(scratch(), "d"), {
			...(mapped ? withVma(donor, vma) : donor),
			files: [...donor.files, ...files],
			descriptors: open.map((id, i) => ({ fd: 20 + i, id, type: 18 })),
			memfds,
		}),
	);
	try {
		return taskFromImages(dir);
	} finally {
		dir.close();
	}
}

function described(entry: BuiltFileEntry, extra: Readonly<Record<string, Buffer>> = {}): Description {
	const { files, close } = tasksOf([entry], extra);
	close();
	return present(files.descriptors[0]).description;
}

const refused = (...args: Parameters<typeof tasksOf>): string =>
	refusal(() => tasksOf(...args)).replace(/\S*\/d\//, "");

it("takes a description's id from its entry, whatever the part of it that describes it says", () => {
	const { files, close } = tasksOf([
		{ id: 30, type: 2, body: pipeFile(30, 99, 0) },
		{ id: 31, type: 2, body: pipeFile(30, 99, 1) },
	]);
	close();
	expect(files.descriptors.map(({ description }) => description.id)).toEqual([30, 31]);
});

describe("memfds from images", () => {
	const jit: BuiltMemfd = { inode: 7, shmid: 31, name: "jit", size: 5000 };

	it("are one object for descriptors and mappings, with bytes, seals, mode and owner", () => {
		const page: readonly [bigint, Buffer] = [4096n, Buffer.alloc(4096, 1)];
		const { files, memory } = memfdsOf(
			[
				[50, 7, 0o100002, 12],
				[51, 7, 0o100000],
			],
			[{ ...jit, seals: 0xe, owner: [5, 6], mode: 0o100640, pages: [page] }],
			true,
		);
		expect(files.descriptors.map(({ description }) => description)).toEqual([
			{ kind: "memfd", id: 50, flags: 0o100002, name: "jit", object: 1, position: 12n },
			{ kind: "memfd", id: 51, flags: 0o100000, name: "jit", object: 1, position: 0n },
		]);
		expect(memory.mappings.find(({ start }) => start === FREE)?.backing).toMatchObject({ object: 1 });
		expect(memory.objects).toMatchObject([
			{
				...{ id: 1, name: "jit", seals: 0xe, memfdFlags: 2, mode: 0o100640, uid: 5, gid: 6, size: 5000n },
				contents: [{ start: 4096n, length: 4096n, offset: 0n }],
			},
		]);
	});

	it("are objects too where only a descriptor shows them; those that could not be sealed stay so", () => {
		const { memory } = memfdsOf(
			[
				[50, 7],
				[51, 8],
			],
			[jit, { ...jit, inode: 8, shmid: 32, seals: 0, huge: 0x5400_0004 }],
			false,
		);
		expect(memory.objects).toMatchObject([
			{ id: 1, name: "jit", seals: 1, memfdFlags: 0 },
			{ id: 2, name: "jit", seals: 0, memfdFlags: 0x5400_0006 },
		]);
	});

	it("have CRIU's name for shared anonymous memory only where a descriptor shows that they are memfds", () => {
		const zero = { ...jit, name: "/dev/zero" };
		expect(memfdsOf([[50, 7]], [zero], true).memory.objects).toMatchObject([{ id: 1, name: "/dev/zero", seals: 1 }]);
		const both: Parameters<typeof memfdsOf>[0] = [
			[50, 7],
			[51, 8],
		];
		const { objects } = memfdsOf(both, [zero, { ...jit, inode: 8, shmid: 32 }], true, [51]).memory;
		expect(objects.map(({ name, seals }) => [name, seals])).toEqual([
			[undefined, undefined],
			["jit", 1],
		]);
	});

	it("must be in memfd.img", () => {
		expect(refused([{ id: 50, type: 18, body: memfdFile(50, 7) }])).toBe(
			"ERR_IMAGE_CORRUPT files.img: memfd 50 names inode 7, which memfd.img does not hold",
		);
	});
});

/** A record of remap-fpath.img: file, where it is now, and 0 for a link, 1 for a ghost. */
const remap = (file: number, now: number, type: number): Bytes => [
	...[...number(1, file), ...number(2, now), ...number(3, type)],
];

/** ghost-file-X.img of user 5, group 6, written 9.000007 s after 1970. */
const ghostImage = (mode: number, behind: readonly (readonly number[])[], ...more: readonly Bytes[]): Buffer =>
	imageBytes(
		GHOST,
		framed([
			...[...number(1, 5), ...number(2, 6), ...number(3, mode)],
			...[...part(7, number(1, 8), number(2, 0)), ...part(8, number(1, 9), number(2, 7))],
			...more.flat(),
		]),
		...behind,
	);

const bytesIn = ({ contents }: GhostFile): [bigint, string][] =>
	contents.map(({ source, offset, length, start }) => [start, `${source.read(offset, Number(length))}`]);

describe("files without names, from images", () => {
	const gone = (id: number, more: Partial<BuiltFileEntry> = {}): BuiltFileEntry => ({ id, name: "/tmp/gone", ...more });

	it("are one file for all that show it, with content, mode, owner and times", () => {
		const { files, memory, close } = tasksOf([gone(50), gone(51, { flags: 2, position: 3 })], {
			"remap-fpath.img": image(REMAP, remap(50, 0x1a, 1), remap(51, 0x1a, 1)),
			"ghost-file-1a.img": ghostImage(0o100640, [[...Buffer.from("held")]]),
		});
		expect(files.descriptors.map(({ description }) => description)).toEqual([
			{ kind: "file", id: 50, path: "/tmp/gone", flags: 0, position: 0n, unlinked: true, ghost: 0x1a },
			{ kind: "file", id: 51, path: "/tmp/gone", flags: 2, position: 3n, unlinked: true, ghost: 0x1a },
		]);
		const ghost = present(memory.ghosts?.[0]);
		expect(bytesIn(ghost)).toEqual([[0n, "held"]]);
		close();
		expect(memory.ghosts).toHaveLength(1);
		expect(ghost).toMatchObject({
			...{ id: 0x1a, path: "/tmp/gone", mode: 0o100640, uid: 5, gid: 6, size: 4n },
			...{ accessed: 8_000_000_000n, modified: 9_000_007_000n },
		});
	});

	it("have holes where no chunk is", () => {
		const chunk = (at: number, text: string): Bytes => [
			...framed([...number(1, text.length), ...number(2, at)]),
			...Buffer.from(text),
		];
		const { memory, close } = tasksOf([gone(50)], {
			"remap-fpath.img": image(REMAP, remap(50, 1, 1)),
			"ghost-file-1.img": ghostImage(0o100600, [chunk(4, "four"), chunk(99, "end")], number(9, 1), number(10, 5000)),
		});
		const ghost = present(memory.ghosts?.[0]);
		expect([ghost.size, bytesIn(ghost)]).toEqual([
			5000n,
			[
				[4n, "four"],
				[99n, "end"],
			],
		]);
		close();
	});

	it("are nothing to be made again where they were devices, or where only a FIFO shows them", () => {
		const images = {
			"remap-fpath.img": image(REMAP, remap(50, 1, 1), remap(51, 2, 1)),
			"ghost-file-1.img": ghostImage(0o020755, []),
			"ghost-file-2.img": ghostImage(0o010600, []),
		};
		const fifo = part(17, number(1, 53), number(2, 9), number(3, 51));
		const { files, memory, close } = tasksOf([gone(50), gone(51), { id: 53, type: 3, body: fifo }], images);
		close();
		expect(memory.ghosts).toBeUndefined();
		expect(files.descriptors.map(({ description }) => description)).toMatchObject([
			{ kind: "file", unlinked: true },
			{ kind: "file", unlinked: true },
			{ kind: "fifo", unlinked: true, file: { path: "/tmp/gone" } },
		]);
		expect(files.descriptors.map(({ description }) => "ghost" in description)).toEqual([false, false, false]);
	});

	it("may be directories, which have no content", () => {
		const { files, memory, close } = tasksOf([gone(50)], {
			"remap-fpath.img": image(REMAP, remap(50, 1, 1)),
			"ghost-file-1.img": ghostImage(0o040755, []),
		});
		close();
		expect(memory.ghosts).toMatchObject([{ id: 1, mode: 0o040755, uid: 5, gid: 6, size: 0n, contents: [] }]);
		expect(files.descriptors[0]?.description).toMatchObject({ kind: "file", unlinked: true, ghost: 1 });
	});

	it("are reached by the link that the dump made", () => {
		const images = { "remap-fpath.img": image(REMAP, remap(50, 51, 0)) };
		const { files, close } = tasksOf([gone(50, { size: 9 }), { id: 51, name: "/tmp/link_remap.1" }], images);
		close();
		expect(files.descriptors[0]?.description).toEqual({
			...{ kind: "file", id: 50, path: "/tmp/link_remap.1", flags: 0, position: 0n, unlinked: false, size: 9n },
		});
	});

	it("may be mapped, and be the executable", () => {
		const donor = livingDonor();
		const exe = present(donor.files.find(({ id }) => id === donor.exe));
		const dir = openImageDir(
			writeDonor(join(scratch(), "d"), {
				...donor,
				extra: {
					"remap-fpath.img": image(REMAP, remap(exe.id, 1, 1)),
					"ghost-file-1.img": ghostImage(0o100755, [[1, 2, 3]]),
				},
			}),
		);
		const { memory } = taskFromImages(dir);
		dir.close();
		expect([memory.executable, memory.executableGhost]).toEqual([exe.name, 1]);
		expect(memory.files.has(exe.name ?? "")).toBe(false);
		const shown = memory.mappings.flatMap(({ backing }) => (backing.kind === "file" ? [backing] : []));
		expect(shown.filter(({ ghost }) => ghost === 1).map(({ path }) => path)).toContain(exe.name);
		expect(shown.some(({ ghost }) => ghost === undefined)).toBe(true);
	});

	it.each<[string, Buffer, Buffer, string]>([
		[
			"a link that is none",
			image(REMAP, remap(50, 77, 0)),
			Buffer.of(),
			"ERR_IMAGE_CORRUPT remap-fpath.img: file 50 is linked as file 77, which files.img does not hold as a regular file",
		],
		[
			"a chunk beyond the end",
			image(REMAP, remap(50, 1, 1)),
			ghostImage(0o100600, [framed([...number(1, 2), ...number(2, 9)]), [0, 0]], number(9, 1), number(10, 10)),
			"ERR_IMAGE_CORRUPT ghost-file-1.img at 0x24: a chunk ends at 0xb, expected it inside the file's 10 bytes",
		],
		[
			"chunks of no size",
			image(REMAP, remap(50, 1, 1)),
			ghostImage(0o100600, [framed([...number(1, 2), ...number(2, 9)]), [0, 0]], number(9, 1)),
			"ERR_IMAGE_CORRUPT ghost-file-1.img: has chunks, but no size",
		],
		[
			"a size that no file has",
			image(REMAP, remap(50, 1, 1)),
			ghostImage(0o100600, [framed([...number(1, 2), ...number(2, 9)]), [0, 0]], number(9, 1), number(10, 1n << 63n)),
			"ERR_IMAGE_CORRUPT ghost-file-1.img: is of a file of 0x8000000000000000 bytes, expected less than 2^63",
		],
	])("refuse %s", (_, remaps, ghost, message) => {
		expect(refused([gone(50)], { "remap-fpath.img": remaps, "ghost-file-1.img": ghost })).toBe(message);
	});
});

describe("descriptors from images", () => {
	it("a regular file: flags without O_CLOEXEC, offset, size, mode and build-id", () => {
		const file = { id: 50, name: "/srv/data", flags: 0o2102002, position: 77, size: 4096, mode: 0o100640 };
		expect(described({ ...file, buildId: "01234567" })).toEqual({
			...{ kind: "file", id: 50, path: "/srv/data", flags: 0o102002, position: 77n, unlinked: false },
			...{ size: 4096n, mode: 0o100640, buildId: "01234567" },
		});
		expect(described({ id: 50, name: "/srv/data" })).toEqual({
			...{ kind: "file", id: 50, path: "/srv/data", flags: 0, position: 0n, unlinked: false },
		});
	});

	it("a file that had lost its name, of which nothing was saved", () => {
		const ofProcess = image(REMAP, [...number(1, 50), ...number(2, 3), ...number(3, 2)]);
		expect(described({ id: 50, name: "/proc/7/maps" }, { "remap-fpath.img": ofProcess })).toEqual({
			...{ kind: "file", id: 50, path: "/proc/7/maps", flags: 0, position: 0n, unlinked: true },
		});
	});

	it("who is told of input", () => {
		const pipe = part(18, number(1, 50), number(2, 9), number(3, 0o20000), flow(4, owner(12, 1, 200)));
		expect(described({ id: 50, type: 2, body: pipe })).toEqual({
			...{ kind: "pipe", id: 50, flags: 0o20000, owner: { type: 1, pid: 200, signal: 12 }, pipe: { id: 9 } },
		});
	});

	it("a pipe with what waits in it, where it lies", () => {
		const data = (magic: number, text: string): Buffer =>
			imageBytes(
				magic,
				framed([...number(1, 8), ...number(2, 0), ...number(3, 4096)]),
				framed([...number(1, 9), ...number(2, text.length), ...number(3, 65536)]),
				[...Buffer.from(text)],
			);
		const fifo = part(17, number(1, 53), number(2, 9), number(3, 54));
		const { files, close } = tasksOf(
			[
				{ id: 50, type: 2, body: pipeFile(50, 9, 0) },
				{ id: 51, type: 2, body: pipeFile(51, 9, 1) },
				{ id: 52, type: 2, body: pipeFile(52, 8, 1) },
				{ id: 53, type: 3, body: fifo },
				{ id: 54, name: "/run/fifo", flags: 0o4002, mode: 0o10600 },
			],
			{ "pipes-data.img": data(PIPES_DATA, "pipe!"), "fifo-data.img": data(FIFO_DATA, "named") },
		);
		const contentOf = (number: number): string | undefined => {
			const description = files.descriptors.find((it) => it.number === number)?.description;
			if (description === undefined || !("pipe" in description)) return undefined;
			const { content } = description.pipe;
			return content?.source.read(content.offset, Number(content.length))?.toString();
		};
		expect([20, 21, 22, 23].map(contentOf)).toEqual(["pipe!", "pipe!", undefined, "named"]);
		expect(files.descriptors[2]?.description).toEqual({
			kind: "pipe",
			id: 52,
			flags: 1,
			pipe: { id: 8, capacity: 4096 },
		});
		expect(files.descriptors[3]?.description).toMatchObject({
			...{ kind: "fifo", id: 53, flags: 0o4002, file: { path: "/run/fifo", mode: 0o10600 } },
			pipe: { id: 9, capacity: 65536 },
		});
		close();
	});

	it.each<[string, number, Bytes, object]>([
		[
			"an eventfd",
			6,
			part(8, number(1, 50), number(2, 0o4002), flow(3), number(4, 2n ** 40n)),
			{ kind: "eventfd", flags: 0o4002, counter: 2n ** 40n },
		],
		[
			"an epoll instance",
			7,
			part(
				9,
				number(1, 50),
				number(2, 2),
				flow(3),
				delimited(4, [...number(1, 0), ...number(2, 6), ...number(3, 0x80000001), ...number(4, 2n ** 64n - 1n)]),
			),
			{ kind: "epoll", flags: 2, targets: [{ number: 6, events: 0x80000001, data: 2n ** 64n - 1n }] },
		],
		[
			"a signalfd",
			9,
			part(10, number(1, 50), number(2, 2), flow(3), number(4, 0x3000)),
			{ kind: "signalfd", flags: 2, mask: 0x3000n },
		],
		[
			"a timerfd",
			17,
			part(
				12,
				...[number(1, 50), number(2, 2), flow(3), number(4, 1), number(5, 3), number(6, 1)],
				...[number(7, 5), number(8, 6), number(9, 7), number(10, 8)],
			),
			{
				...{ kind: "timerfd", flags: 2, clock: 1, ticks: 3n, settings: 1 },
				...{ remaining: 5_000_000_006n, interval: 7_000_000_008n },
			},
		],
		[
			"a namespace",
			14,
			part(5, number(1, 50), number(2, 1), number(3, 2), number(4, 0)),
			{ kind: "namespace", flags: 0 },
		],
		["a kind of the future", 77, [], { kind: "unknown", flags: 0 }],
	])("%s", (_, type, body, expected) => {
		expect(described({ id: 50, type, body })).toEqual({ id: 50, ...expected });
	});

	it("a terminal, whose settings both ends have; control characters lie in the first words", () => {
		const tty = (id: number, end: number, file: number): Bytes =>
			part(19, number(1, id), number(2, end), number(3, 0o100002), flow(4), number(6, file));
		const extra = {
			"tty-info.img": image(
				TTY_INFO,
				terminalInfo(7, 0x502, 9),
				terminalInfo(6, 0x8803, 0, 3, number(14, 5), number(15, 6)),
			),
			"tty-data.img": image(0x59413026, [...number(1, 6), ...delimited(2, [...Buffer.from("ls\n")])]),
		};
		const { files, close } = tasksOf(
			[
				{ id: 50, type: 11, body: tty(50, 6, 51) },
				{ id: 52, type: 11, body: tty(52, 7, 53) },
				{ id: 51, name: "/dev/pts/3" },
				{ id: 53, name: "/dev/ptmx" },
			],
			extra,
		);
		close();
		const [slave, master] = files.descriptors.map(({ description }) => description);
		expect(slave).toMatchObject({ kind: "tty", id: 50, flags: 0o100002, place: "slave", path: "/dev/pts/3" });
		expect(master).toMatchObject({ kind: "tty", place: "master", path: "/dev/ptmx" });
		expect(slave?.kind === "tty" && master?.kind === "tty" && slave.terminal === master.terminal).toBe(true);
		expect(slave).toHaveProperty("terminal", {
			...{ id: 0x8803, index: 3, mastered: true, session: 9, foreground: 9, uid: 5, gid: 6 },
			settings: {
				...{ c_iflag: 0x500, c_oflag: 5, c_cflag: 0xbf, c_lflag: 0x8a3b, c_line: 0, c_ispeed: 0, c_ospeed: 0 },
				c_cc: Uint8Array.from(Buffer.from("031c7f150400010011131a0012170f16efbead", "hex")),
			},
			window: { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 },
			input: new Uint8Array(Buffer.from("ls\n")),
		});
		expect(refused([{ id: 50, type: 11, body: tty(50, 8, 51) }], extra)).toBe(
			"ERR_IMAGE_CORRUPT files.img: file 50 is terminal 8, which tty-info.img does not hold",
		);
	});

	it("duplicates share a description, each with its own FD_CLOEXEC; numbers come in order", () => {
		const { files, close } = tasksOf([{ id: 50, name: "/srv/data" }], {}, [
			[7, 50, 1, 1],
			[3, 50, 1, 0],
		]);
		close();
		expect(files.descriptors.map(({ number: fd, closeOnExec }) => [fd, closeOnExec])).toEqual([
			[3, false],
			[7, true],
		]);
		expect(files.descriptors[0]?.description).toBe(files.descriptors[1]?.description);
		expect(files).toMatchObject({ cwd: "/", root: "/", umask: 0o22 });
	});

	it("refuses what contradicts itself", () => {
		const file = { id: 50, name: "/srv/data" };
		expect(refused([file], {}, [[3, 50, 2, 0]])).toBe(
			"ERR_IMAGE_CORRUPT fdinfo-2.img: descriptor 3 names file 50 of type 2, which files.img holds as type 1",
		);
		expect(refused([file], {}, [[0xffffffff, 50, 1, 0]])).toBe(
			"ERR_IMAGE_CORRUPT fdinfo-2.img: descriptor 4294967295 is out of range, expected a positive int",
		);
		expect(
			refused(
				[file],
				{},
				[3, 3].map((fd) => [fd, 50, 1, 0] as const),
			),
		).toBe("ERR_IMAGE_CORRUPT fdinfo-2.img: descriptor 3 is there twice, expected it once");
		expect(refused([{ id: 50, type: 2, body: [] }])).toBe(
			"ERR_IMAGE_CORRUPT files.img: file 50 of type 2 lacks the part that describes it",
		);
		expect(refused([{ id: 50, type: 3, body: part(17, number(1, 50), number(2, 9), number(3, 54)) }])).toBe(
			"ERR_IMAGE_CORRUPT files.img: fifo 50 names file 54, which it does not hold",
		);
		const twice = imageBytes(
			PIPES_DATA,
			framed([...number(1, 8), ...number(2, 0)]),
			framed([...number(1, 8), ...number(2, 0)]),
		);
		expect(refused([file], { "pipes-data.img": twice })).toBe(
			"ERR_IMAGE_CORRUPT pipes-data.img: pipe 8 is there twice, expected it once",
		);
		const short = imageBytes(PIPES_DATA, framed([...number(1, 8), ...number(2, 100)]), word(1));
		expect(refused([file], { "pipes-data.img": short })).toMatch(/^ERR_IMAGE_TRUNCATED pipes-data\.img/);
	});
});
