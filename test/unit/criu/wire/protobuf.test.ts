import { describe, expect, it } from "vitest";
import { decodeRecord, encodeRecord, unknownFields } from "../../../../src/criu/wire/protobuf.ts";
import { refusal } from "../../../support/refusal.ts";
import { bytes, delimited, number } from "../../../support/witness/wire.ts";

const of = (...fields: readonly (readonly number[])[]): Uint8Array => Uint8Array.from(fields.flat());
const pstree = (...more: readonly (readonly number[])[]): Uint8Array =>
	of(number(1, 7), number(2, 1), number(3, 7), number(4, 7), ...more);

describe("decodeRecord", () => {
	// as CRIU 4.2 wrote them
	it("reads a process of pstree.img", () => {
		const raw = bytes("08 e2 2c 10 00 18 e2 2c 20 e2 2c 28 e2 2c");
		const value = { pid: 5730, ppid: 0, pgid: 5730, sid: 5730, threads: [5730] };
		expect(decodeRecord("pstree_entry", raw, "pstree.img")).toStrictEqual(value);
		expect(encodeRecord("pstree_entry", value)).toEqual(raw);
	});

	it("reads a mapping of mm.img, whose fd is zig-zag", () => {
		const raw = bytes("08 80 80 04 10 80 a0 04 18 00 20 01 28 01 30 02 38 41 40 01 50 00");
		const value = {
			start: 0x10000n,
			end: 0x11000n,
			pgoff: 0n,
			shmid: 1n,
			prot: 1,
			flags: 2,
			status: 0x41,
			fd: -1n,
			fdflags: 0,
		};
		expect(decodeRecord("vma_entry", raw, "mm.img")).toStrictEqual(value);
		expect(encodeRecord("vma_entry", value)).toEqual(raw);
	});

	it("reads negative numbers: ten bytes as int32, one zig-zag", () => {
		const thread = of(number(1, 0), number(2, 0), [0x18, 0x27]);
		expect(decodeRecord("thread_core_entry", thread, "core").sched_nice).toBe(-20);
		const lock = of(
			number(1, 1),
			number(2, 0),
			list("18 ff ff ff ff ff ff ff ff ff 01"),
			number(4, 3),
			number(5, 0),
			number(6, 0),
		);
		expect(decodeRecord("file_lock_entry", lock, "filelocks").pid).toBe(-1);
		expect(encodeRecord("file_lock_entry", decodeRecord("file_lock_entry", lock, "filelocks"))).toEqual(lock);
	});

	it("tells an absent field from an empty one", () => {
		expect(decodeRecord("inventory_entry", of(number(1, 2)), "i")).toStrictEqual({ img_version: 2 });
		const none = { img_version: 2, plugins_entry: { plugins: [] } };
		expect(decodeRecord("inventory_entry", of(number(1, 2), delimited(12, [])), "i")).toStrictEqual(none);
		expect(encodeRecord("inventory_entry", none)).toEqual(of(number(1, 2), delimited(12, [])));
	});

	it("reads an empty record", () => {
		expect(decodeRecord("seccomp_entry", of(), "seccomp.img")).toStrictEqual({ seccomp_filters: [] });
	});

	it("reads packed lists and writes them unpacked", () => {
		const packed = pstree(delimited(5, [7, 8, 0x80, 1]));
		const value = decodeRecord("pstree_entry", packed, "pstree.img");
		expect(value.threads).toEqual([7, 8, 128]);
		expect(encodeRecord("pstree_entry", value)).toEqual(pstree(number(5, 7), number(5, 8), number(5, 128)));
	});

	it("keeps nothing of the bytes it read", () => {
		const raw = of(delimited(1, [1, 2, 3]));
		const { siginfo } = decodeRecord("siginfo_entry", raw, "core");
		raw.fill(0);
		expect(siginfo).toEqual(Uint8Array.of(1, 2, 3));
	});

	it("keeps a value that an enum does not declare", () => {
		const raw = of(number(1, 99), number(2, 5));
		expect(decodeRecord("file_entry", raw, "files.img")).toStrictEqual({ type: 99, id: 5 });
		expect(encodeRecord("file_entry", { type: 99, id: 5 })).toEqual(raw);
	});

	it("keeps names that are not UTF-8", () => {
		const raw = of(delimited(1, [0x67, 0xf6]), delimited(2, ""));
		expect(decodeRecord("utsns_entry", raw, "utsns")).toStrictEqual({ nodename: "g\udcf6", domainname: "" });
		expect(encodeRecord("utsns_entry", { nodename: "g\udcf6", domainname: "" })).toEqual(raw);
	});
});

describe("unknown fields", () => {
	const entry = of(
		number(1, 2),
		number(7, 5),
		delimited(12, [...number(3, 4), ...delimited(12, "p")]),
		delimited(99, "new"),
	);

	it("survive at every level, in the place of their number", () => {
		const value = decodeRecord("inventory_entry", entry, "inventory.img");
		expect(value[unknownFields]).toEqual([of(number(7, 5)), of(delimited(99, "new"))]);
		expect(value.plugins_entry?.[unknownFields]).toEqual([of(number(3, 4))]);
		expect(encodeRecord("inventory_entry", value)).toEqual(entry);
	});

	it("follow a copy that is edited", () => {
		const value = decodeRecord("inventory_entry", entry, "inventory.img");
		expect(encodeRecord("inventory_entry", { ...value, img_version: 3, tcp_close: true })).toEqual(
			of(
				number(1, 3),
				number(7, 5),
				number(10, 1),
				delimited(12, [...number(3, 4), ...delimited(12, "p")]),
				delimited(99, "new"),
			),
		);
	});

	it("may be of any wire type, groups too", () => {
		const raw = pstree(list("31 01 02 03 04 05 06 07 08"), list("3d 01 02 03 04"), list("43 08 01 44"));
		expect(encodeRecord("pstree_entry", decodeRecord("pstree_entry", raw, "p"))).toEqual(raw);
	});

	it("are the registers of other machines", () => {
		const arm = of(number(1, 2), delimited(6, number(1, 1)));
		expect(encodeRecord("core_entry", decodeRecord("core_entry", arm, "core"))).toEqual(arm);
	});
});

describe("what decodeRecord refuses", () => {
	const refused = (type: Parameters<typeof decodeRecord>[0], raw: Uint8Array): string =>
		refusal(() => decodeRecord(type, raw, "x.img at 0x8")).replace("ERR_IMAGE_CORRUPT x.img at 0x8: ", "");

	it.each([
		["a missing field", "pstree_entry", of(number(1, 7)), "pstree_entry at +0x0 lacks its required field ppid"],
		[
			"a missing field deep inside",
			"task_rlimits_entry",
			of(delimited(1, [...number(1, 5), ...number(2, 5)]), delimited(1, number(2, 5))),
			"rlimit_entry at +0x8 lacks its required field cur",
		],
		[
			"another wire type",
			"pstree_entry",
			pstree(delimited(1, "x")),
			"pstree_entry.pid at +0x8 has wire type 2, expected 0",
		],
		["a group for a message", "core_entry", of([0x0b, 0x0c]), "core_entry.mtype at +0x0 has wire type 3, expected 0"],
		[
			"a fixed number in a list",
			"pstree_entry",
			pstree([0x2d, 1, 2, 3, 4]),
			"pstree_entry.threads at +0x8 has wire type 5, expected 0",
		],
		[
			"a second value",
			"pstree_entry",
			pstree(number(1, 8)),
			"pstree_entry.pid at +0x8 is there a second time, expected it once",
		],
		[
			"more than 32 bits",
			"pstree_entry",
			of(number(1, 1n << 32n)),
			"pstree_entry.pid at +0x0 is 4294967296, expected a number from 0 to 2^32-1",
		],
		[
			"an int32 beyond its range",
			"pidfd_entry",
			of(number(4, 0x8000_0000)),
			"pidfd_entry.nspid at +0x0 is 2147483648, expected a number from -2^31 to 2^31-1",
		],
		["a bool of 2", "inventory_entry", of(number(2, 2)), "inventory_entry.fdinfo_per_id at +0x0 is 2, expected 0 or 1"],
		[
			"a varint that does not end",
			"pstree_entry",
			of([8], Array(11).fill(0x80)),
			"the field at +0x0 of pstree_entry is malformed",
		],
		[
			"a varint beyond 64 bits",
			"rlimit_entry",
			of([8], Array(9).fill(0xff), [2]),
			"the field at +0x0 of rlimit_entry is malformed",
		],
		[
			"an unknown one likewise",
			"pstree_entry",
			of([0x78], Array(11).fill(0x80)),
			"the field at +0x0 of pstree_entry is malformed",
		],
		["field number 0", "pstree_entry", of([0, 0]), "the field at +0x0 of pstree_entry is malformed"],
		["a wire type that is none", "pstree_entry", of([0x37]), "the field at +0x0 of pstree_entry is malformed"],
		["a number cut short", "pstree_entry", of([8, 0x80]), "the field at +0x0 of pstree_entry runs past the end"],
		["a string beyond the end", "utsns_entry", of([10, 5, 65]), "the field at +0x0 of utsns_entry runs past the end"],
		[
			"a field that leaves its message",
			"task_rlimits_entry",
			of(delimited(1, [8, 0x80]), number(2, 1)),
			"the field at +0x2 of task_rlimits_entry runs past the end",
		],
		[
			"a packed list cut inside a number",
			"pstree_entry",
			pstree(delimited(5, [7, 0x80])),
			"the field at +0x8 of pstree_entry runs past the end",
		],
		["a group without an end", "pstree_entry", of([0x33, 8, 1]), "the field at +0x0 of pstree_entry runs past the end"],
	] as const)("%s", (_, type, raw, message) => {
		expect(refused(type, raw)).toBe(message);
	});

	const nested = (depth: number): number[] =>
		Array.from({ length: depth }).reduce<number[]>(
			(inner) => [...delimited(1, "n"), ...delimited(3, inner)],
			delimited(1, "n"),
		);

	it("nesting without end", () => {
		expect(decodeRecord("aa_namespace", of(nested(100)), "apparmor.img").name).toBe("n");
		expect(refused("aa_namespace", of(nested(101)))).toBe(
			"aa_namespace at +0x245 is nested too deep, expected at most 100",
		);
	});

	it("millions of values", () => {
		const raw = Buffer.concat([pstree(), bytes("2a 81 80 80 04"), Buffer.alloc((1 << 23) + 1)]);
		expect(refused("pstree_entry", raw)).toBe("the image holds too many values, expected at most 4194304");
	});

	it("any record that breaks off, at each byte", () => {
		const whole = encodeRecord("inventory_entry", {
			img_version: 2,
			root_ids: { vm_id: 1, files_id: 2, fs_id: 300, sighand_id: 4 },
			dump_criu_run_id: "run",
		});
		for (let cut = 0; cut < whole.length; cut++) {
			const part = whole.subarray(0, cut);
			// cut between fields, the rest is a message again
			if ([2, 13].includes(cut)) expect(decodeRecord("inventory_entry", part, "i").img_version).toBe(2);
			else expect(refused("inventory_entry", part)).toMatch(/runs past the end|lacks its required field/);
		}
	});
});

describe("encodeRecord", () => {
	const head = (pages_id: number) => () => encodeRecord("pagemap_head", { pages_id });

	it.each([
		[-1, "pagemap_head.pages_id is -1, expected a number from 0 to 2^32-1"],
		[2 ** 32, "pagemap_head.pages_id is 4294967296, expected a number from 0 to 2^32-1"],
		[1.5, "pagemap_head.pages_id is 1.5, expected a number from 0 to 2^32-1"],
		[Number.NaN, "pagemap_head.pages_id is NaN, expected a number from 0 to 2^32-1"],
	])("refuses %d in 32 bits", (value, message) => {
		expect(head(value)).toThrow(new RangeError(message));
	});

	it("writes the largest", () => {
		expect(head(2 ** 32 - 1)()).toEqual(bytes("08 ff ff ff ff 0f"));
		expect(encodeRecord("rlimit_entry", { cur: 2n ** 64n - 1n, max: 0n })).toEqual(
			bytes("08 ff ff ff ff ff ff ff ff ff 01 10 00"),
		);
	});

	it("refuses what 64 bits cannot hold", () => {
		expect(() => encodeRecord("rlimit_entry", { cur: -1n, max: 0n })).toThrow(
			new RangeError("rlimit_entry.cur is -1, expected a bigint from 0 to 2^64-1"),
		);
		expect(() => encodeRecord("rlimit_entry", { cur: 0n, max: 2n ** 64n })).toThrow(
			new RangeError("rlimit_entry.max is 18446744073709551616, expected a bigint from 0 to 2^64-1"),
		);
	});

	it("refuses a record without its required fields", () => {
		expect(() => encodeRecord("pagemap_head", {} as { pages_id: number })).toThrow(
			new RangeError("pagemap_head.pages_id is missing"),
		);
	});
});

function list(spaced: string): number[] {
	return [...bytes(spaced)];
}
