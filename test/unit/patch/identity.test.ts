import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { type BuiltCore, buildCore } from "../../support/builders/core-builder.ts";
import { addPages, type BuiltDonor, buildDonor, writeDonor } from "../../support/builders/donor-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	EXE,
	EXE_BUILD_ID,
	filled,
	hostWith,
	LIBC,
	LIBC_BUILD_ID,
	livingDonor,
	patchPair,
	program,
	stackOf,
	withSegment,
} from "../../support/builders/pair.ts";
import { patchInto } from "../../support/builders/patching.ts";
import { only, present } from "../../support/present.ts";
import { refusalOf } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";
import { regFilesOf } from "../../support/witness/witness.ts";

/** The threads of a core in another order: the one that died first. */
const inOrder = (core: BuiltCore, ...tids: number[]): BuiltCore => ({
	...core,
	threads: tids.map((tid) => present(core.threads.find((thread) => thread.tid === tid))),
});

describe("threads", () => {
	const donorOf = (count: number) => livingDonor({ tids: Array.from({ length: count }, (_, i) => 200 + i) });

	test("come leader first, whichever died and however the core lists them", async () => {
		const core = inOrder(deadCore({ tids: [500, 501, 502] }), 502, 500, 501);
		const { images, core: image } = await patchPair({ core, donor: donorOf(3) });
		expect(only(images.records("pstree.img")).numbers(5)).toEqual([500n, 501n, 502n]);
		expect([500, 501, 502].map((tid) => image(tid).message(5).text(13))).toEqual(["prog", "worker 1", "worker 2"]);
	});

	test("are paired by age across the wrap of thread ids", async () => {
		const tids = [32700, 32701, 310, 311];
		const { images, core } = await patchPair({
			core: inOrder(deadCore({ tids }), 311, 32701, 310, 32700),
			donor: donorOf(4),
		});
		expect(only(images.records("pstree.img")).numbers(5)).toEqual([32700n, 32701n, 310n, 311n]);
		expect(tids.map((tid) => core(tid).message(5).text(13))).toEqual(["prog", "worker 1", "worker 2", "worker 3"]);
	});

	test("more than the donor has take after its leader, without the part that only a leader has", async () => {
		const tids = [500, 501, 502, 503];
		const donor = donorOf(2);
		const nice = { ...donor, threads: donor.threads.map((thread, i) => ({ ...thread, nice: i === 0 ? -5 : 7 })) };
		const dead = { ...deadCore({ tids }), process: { pid: 500, name: "renamed" } };
		const { images, core, told } = await patchPair({ core: dead, donor: nice });
		expect(images.names.filter((name) => name.startsWith("core-"))).toEqual(tids.map((tid) => `core-${tid}.img`));
		for (const tid of [502, 503]) {
			expect([core(tid).has(3), core(tid).has(4)]).toEqual([false, false]);
			expect(core(tid).message(5).number(3)).toBe(9n);
			expect(core(tid).message(5).text(13)).toBe("renamed");
			// and yet its own control block
			expect(core(tid).message(2).number(1)).toBe(stackOf(deadPlaces, tid - 500).end - 4096n + 0x2d0n);
		}
		expect(core(501).message(5).number(3)).toBe(14n);
		expect(told).toContain(
			"caution 2 threads: the donor has 2 of 4 threads; name, scheduling and signal stack are taken from its leader",
		);
	});

	test("fewer than the donor has leave no image of the others", async () => {
		const { images, told } = await patchPair({ core: deadCore({ tids: [500, 501] }), donor: donorOf(5) });
		expect(images.names.filter((name) => name.startsWith("core-"))).toEqual(["core-500.img", "core-501.img"]);
		expect(told).toContain("note 3 of the donor's threads: the dead process had 2; theirs are left out");
	});

	test("may have ids that the donor's had", async () => {
		const { images, core } = await patchPair({ core: deadCore({ tids: [200, 202, 201] }), donor: donorOf(3) });
		expect(only(images.records("pstree.img")).numbers(5)).toEqual([200n, 202n, 201n].sort());
		expect(core(201).message(2).number(1)).toBe(stackOf(deadPlaces, 2).end - 4096n + 0x2d0n);
		expect(core(202).message(2).number(1)).toBe(stackOf(deadPlaces, 1).end - 4096n + 0x2d0n);
	});

	test("keep their masks: the leader's in the task part, the others' in their own", async () => {
		const core = deadCore({ tids: [500, 501] });
		const threads = core.threads.map((thread, i) => ({ ...thread, blocked: i === 0 ? 0x4000n : 0x2000n }));
		const { core: image } = await patchPair({ core: { ...core, threads }, donor: donorOf(2) });
		expect(image(500).message(3).number(5)).toBe(0x4000n);
		expect(image(501).message(5).number(6)).toBe(0x2000n);
	});

	test("have the donor's masks where gdb wrote the core, with a caution", async () => {
		const donor = livingDonor();
		const threads = donor.threads.map((thread) => ({ ...thread, blocked: 0x10n }));
		const { core, told } = await patchPair({
			core: { ...deadCore(), style: "gdb" },
			donor: { ...donor, threads },
		});
		expect(core(500).message(3).number(5)).toBe(0x10n);
		expect(told).toContain("caution all threads: gdb's cores hold no signal masks; the donor's are used");
	});
});

describe("names of files", () => {
	test("follow the dead process's ids, and nothing keeps the donor's", async () => {
		const { images } = await patchPair({
			core: deadCore({ tids: [500, 501] }),
			donor: livingDonor({ tids: [200, 201] }),
		});
		expect(images.names).toEqual([
			...["core-500.img", "core-501.img", "fdinfo-2.img", "files.img", "fs-500.img", "ids-500.img"],
			...["inventory.img", "mm-500.img", "pagemap-500.img", "pages-1.img", "pstree.img", "timens-0.img"],
		]);
	});

	test("ids and directories keep their bytes: a files_id equal to the dumper's would be refused", async () => {
		const built = buildDonor(livingDonor());
		const { images } = await patchPair({});
		expect(images.raw("ids-500.img")).toEqual(built.get("ids-200.img"));
		expect(images.raw("fs-500.img")).toEqual(built.get("fs-200.img"));
		expect(images.raw("inventory.img")).toEqual(built.get("inventory.img"));
		expect(images.raw("fdinfo-2.img")).toEqual(built.get("fdinfo-2.img"));
	});

	test("the control group stays the donor's", async () => {
		expect((await patchPair({})).core(500).message(5).number(16)).toBe(1n);
	});
});

describe("session and process group", () => {
	const tree = async (core: BuiltCore, donor: BuiltDonor) => {
		const { images, told } = await patchPair({ core, donor });
		const entry = only(images.records("pstree.img"));
		return {
			ids: [1, 2, 3, 4].map((field) => Number(entry.number(field))),
			told: told.filter((it) => / session /.test(it)),
		};
	};

	test("are its own where the donor led its session", async () => {
		expect(await tree(deadCore({ sid: 499 }), livingDonor())).toEqual({
			ids: [500, 0, 500, 500],
			told: ["note session 499: the donor led its own session and so will the process: session and group 500"],
		});
	});

	test("are the dead one's where the donor was a member, which --shell-job restores", async () => {
		expect(await tree(deadCore({ sid: 499 }), { ...livingDonor(), pgid: 200, sid: 77 })).toEqual({
			ids: [500, 0, 500, 499],
			told: ["caution session 499: the process is no session leader; restore it with --shell-job, from a shell"],
		});
	});

	test("are the donor's where the core has none", async () => {
		const core = deadCore();
		const process = { pid: 500, name: "prog" };
		const donor = { ...livingDonor(), pgid: 200, sid: 77 };
		expect((await tree({ ...core, process, style: "gdb" }, donor)).ids).toEqual([500, 0, 500, 77]);
	});
});

describe("credentials", () => {
	const credsOf = async (core: BuiltCore, donor: BuiltDonor) => {
		const { core: image, told } = await patchPair({ core, donor });
		return { creds: image(500).message(5).message(10), told };
	};
	const privileged = (): BuiltDonor => {
		const donor = livingDonor();
		return { ...donor, threads: donor.threads.map((thread) => ({ ...thread, groups: [4, 27] })) };
	};

	test("of the same user stand whole", async () => {
		const { creds } = await credsOf(deadCore(), privileged());
		expect([creds.numbers(11), creds.numbers(14)]).toEqual([
			[0xffffffffn, 0x1ffn],
			[4n, 27n],
		]);
	});

	test("of a user do not gain what root's donor had: no capabilities, no groups", async () => {
		const { creds, told } = await credsOf(deadCore({ uid: 1000 }), privileged());
		expect([1, 2, 3, 4, 5, 6, 7, 8].map((field) => creds.number(field))).toEqual(new Array(8).fill(1000n));
		expect([9, 10, 11].map((field) => creds.numbers(field))).toEqual(new Array(3).fill([0n, 0n]));
		expect(creds.numbers(14)).toEqual([]);
		// the bounding set is a limit, not a right; an absent one would mean the empty set
		expect(creds.numbers(12)).toEqual([0xffffffffn, 0x1ffn]);
		expect(told).toContain(
			"caution uid 1000, gid 1000: the donor ran as uid 0, gid 0; its groups and capabilities are not given to the dead process",
		);
	});
});

describe("what is refused", () => {
	const refused = (core: BuiltCore, donor: BuiltDonor, options?: Parameters<typeof patchPair>[1]) =>
		refusalOf(patchPair({ core, donor }, options));

	test("a donor of another program", async () => {
		const donor = livingDonor();
		const files = donor.files.map((file) =>
			file.name === EXE ? { ...file, name: "/opt/other", buildId: LIBC_BUILD_ID } : file,
		);
		expect(await refused(deadCore(), { ...donor, files })).toBe(
			`ERR_DONOR_MISMATCH core: is of ${EXE} (build-id ${EXE_BUILD_ID}), but the donor is /opt/other (build-id ${LIBC_BUILD_ID}); dump a donor of the same program`,
		);
	});

	test("a donor whose libc is another build, unless insisted", async () => {
		const other = "77".repeat(20);
		const donor = livingDonor();
		const files = donor.files.map((file) => (file.name === LIBC ? { ...file, buildId: other } : file));
		const different = `${LIBC} has build-id ${LIBC_BUILD_ID}, the donor's has ${other}`;
		expect(await refused(deadCore(), { ...donor, files })).toBe(
			`ERR_BINARY_MISMATCH core: ${different}, expected the same builds; dump a donor of the same builds, or insist with --allow-mismatch`,
		);
		const insisted = await patchPair({ donor: { ...donor, files } }, { allowMismatch: true });
		expect(insisted.told).toContain(`loss core: ${different}`);
		// the donor's size is that of its own build
		const longer = Buffer.concat([program(LIBC_BUILD_ID, 0x20), filled(1)]);
		const own = await patchPair(
			{ donor: { ...donor, files } },
			{ allowMismatch: true, host: hostWith({ [LIBC]: longer }) },
		);
		expect(own.told.filter((text) => text.includes(` ${LIBC}:`))).toEqual([]);
	});

	test("a donor of another machine", async () => {
		const donor = livingDonor();
		const threads = donor.threads.map((thread) => ({ ...thread, machine: 3 }));
		expect(await refused(deadCore(), { ...donor, threads })).toMatch(
			/^ERR_DONOR_MISMATCH .*core-200\.img: is of machine type 3, expected 1 \(x86-64\)$/,
		);
	});

	test("a zombie as donor", async () => {
		const donor = livingDonor();
		const dead = buildCoreImageOfZombie();
		expect(await refused(deadCore(), { ...donor, extra: { "core-200.img": dead } })).toMatch(
			/^ERR_IMAGE_CORRUPT .*core-200\.img: describes a zombie, expected a living process; dump the donor while it runs$/,
		);
	});

	test("a core that holds no private anonymous memory", async () => {
		const core = deadCore();
		const segments = (core.segments ?? []).map(({ bytes: _bytes, ...segment }) => segment);
		expect(await refused({ ...core, segments }, livingDonor())).toBe(
			"ERR_CORE_PARTIAL core: the stack of thread 500 at 0x7ffcffffb800 is not in the core, expected private anonymous memory to be dumped; set bit 0 of /proc/PID/coredump_filter before the next death",
		);
	});

	test("a core whose executable no file mapping holds", async () => {
		const core = deadCore();
		const files = (core.files ?? []).filter(({ path }) => path !== EXE);
		expect(await refused({ ...core, files }, livingDonor())).toBe(
			"ERR_NOTE_MISSING core: no file mapping (NT_FILE) holds the program headers (AT_PHDR 0x555555554040), expected the executable's; give a core whose NT_FILE note is complete",
		);
	});
});

describe("a donor of several processes", () => {
	/** The donor with a child, whose images come from the same builder. */
	const family = (): BuiltDonor => {
		const child = buildDonor({ ...livingDonor({ tids: [300] }), comm: "child" });
		const extra: Record<string, Buffer> = {};
		for (const name of ["core-300.img", "mm-300.img", "fs-300.img", "ids-300.img"])
			extra[name] = present(child.get(name));
		const pages = new Map<string, Buffer>();
		addPages(pages, "pagemap-300.img", 2, [[deadPlaces.stackEnd, Buffer.alloc(4096, 1)]]);
		return {
			...livingDonor(),
			others: [{ pid: 300, ppid: 200, threads: [300] }],
			extra: { ...extra, ...Object.fromEntries(pages) },
		};
	};

	test("needs a choice where nothing tells which one died", async () => {
		const twins = family();
		expect(
			await refusalOf(patchPair({ core: { ...deadCore(), process: { pid: 500, name: "renamed" } }, donor: twins })),
		).toMatch(
			/^ERR_DONOR_AMBIGUOUS .*pstree\.img: holds 2 processes that core may have been \(200 prog, 300 child\), expected one of its id, or one that alone is like it; choose one with --donor-pid$/,
		);
		expect(await refusalOf(patchPair({ donor: family() }, { donorPid: 301 }))).toMatch(
			/^ERR_IMAGE_MISSING .*pstree\.img: has no process 301, only 200, 300; choose one with --donor-pid$/,
		);
	});

	test("keeps the others, under the new parent", async () => {
		const { images } = await patchPair({ donor: family() }, { donorPid: 200 });
		const tree = images.records("pstree.img").map((entry) => [1, 2, 3, 4].map((field) => Number(entry.number(field))));
		expect(tree).toEqual([
			[500, 0, 500, 500],
			[300, 500, 500, 500],
		]);
		const before = new Map(Object.entries(present(family().extra)));
		for (const [name, bytes] of before) expect(images.raw(name), name).toEqual(bytes);
		expect(images.names).not.toContain("core-200.img");
	});

	test("of which a child is chosen, keeps the parent", async () => {
		const { images } = await patchPair({ donor: family() }, { donorPid: 300 });
		const tree = images.records("pstree.img").map((entry) => [1, 2].map((field) => Number(entry.number(field))));
		expect(tree).toEqual([
			[200, 0],
			[500, 200],
		]);
		expect(images.names).toEqual(
			expect.arrayContaining(["core-200.img", "core-500.img", "pages-1.img", "pages-2.img"]),
		);
		expect(images.records("pagemap-500.img")[0]?.number(1)).toBe(2n);
	});

	test("one of which has the id of the dead process", async () => {
		const core = deadCore({ tids: [300] });
		expect(await refusalOf(patchPair({ core, donor: family() }, { donorPid: 200 }))).toBe(
			"ERR_DONOR_MISMATCH core: thread 300 has an id that process 300 of the donor has, expected it to be free; dump the donor without its relatives",
		);
		expect((await patchPair({ core, donor: family() }, { donorPid: 300 })).images.names).toContain("core-300.img");
	});
});

test("a donor of the same program elsewhere fits: build-ids decide, and its handlers are found", async () => {
	const donor = livingDonor();
	const files = donor.files.map((file) => (file.name === EXE ? { ...file, name: "/usr/bin/prog" } : file));
	const { vma, core, images, told } = await patchPair({ donor: { ...donor, files } });
	expect(regFilesOf(images).get(Number(vma(deadPlaces.exe)?.shmid))?.name).toBe(EXE);
	expect(core(500).message(3).messages(15)[1]?.number(1)).toBe(deadPlaces.exe + 4096n + 0x40n);
	expect(told.filter((text) => !/^note|CLOCK_MONOTONIC/.test(text))).toEqual([
		"caution /usr/bin/prog: is not here; restore where it is",
	]);
});

test("a patched directory is a donor like any other, and patching it again changes nothing", async () => {
	const directory = scratch();
	const core = withSegment(
		deadCore({ tids: [500, 501, 502] }),
		{ start: 0x7f10_0018_0000n, end: 0x7f10_0018_2000n, prot: 3, bytes: Buffer.alloc(8192, 3) },
		{ path: "/dev/zero (deleted)", offset: 0n },
	);
	const dirty = changeSegment(core, deadPlaces.heap, (it) => it);
	const source = () => fromBuffer("core", buildCore({ ...dirty, threads: [...dirty.threads].reverse() }));
	const donor = writeDonor(join(directory, "donor"), livingDonor({ tids: [200, 201] }));
	const first = await patchInto(source(), donor, join(directory, "first"));
	const second = await patchInto(source(), first.images.path, join(directory, "second"));
	expect(second.images.names).toEqual(first.images.names);
	for (const name of first.images.names)
		expect(second.images.raw(name).equals(first.images.raw(name)), name).toBe(true);
});

/** A core image with a task part that says dead, and neither registers nor attributes. */
function buildCoreImageOfZombie(): Buffer {
	const alive = present(buildDonor({ ...livingDonor(), state: 2 }).get("core-200.img"));
	const record = alive.subarray(12);
	// mtype, then thread_info (field 2), which a zombie lacks
	const [mtype, rest] = [record.subarray(0, 2), record.subarray(2)];
	let length = 0;
	let at = 1;
	for (let shift = 0; ; shift += 7) {
		const byte = present(rest[at++]);
		length |= (byte & 127) << shift;
		if (byte < 128) break;
	}
	const body = Buffer.concat([mtype, rest.subarray(at + length)]);
	const size = Buffer.alloc(4);
	size.writeUInt32LE(body.length);
	return Buffer.concat([alive.subarray(0, 8), size, body]);
}
