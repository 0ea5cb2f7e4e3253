import { describe, expect, it } from "vitest";
import { type Address, address, fileOffset } from "../../../../src/bytes/address.ts";
import type { Placed } from "../../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { caution, note } from "../../../../src/finding.ts";
import { redirect } from "../../../../src/plan/memory/vdso-functions.ts";
import { executed, type MemoryParts, mapping, PAGE, planned, taskOf } from "../../../support/builders/memory-task.ts";
import { vdsoImage } from "../../../support/builders/vdso-image.ts";
import { refusal } from "../../../support/refusal.ts";

const AT = 0x7fff_1000_6000n;
const VVAR = 0x7fff_1000_0000n;
const host = vdsoImage([
	{ name: "__vdso_clock_gettime", at: 0x900, size: 200 },
	{ name: "__vdso_time", at: 0xa00, size: 40 },
]);
const facts = { vdso: { image: host, vvarLength: 0x6000n } };
const other = vdsoImage([
	{ name: "clock_gettime", at: 0xb00, size: 200 },
	{ name: "__vdso_clock_gettime", at: 0xb00, size: 200 },
	{ name: "__vdso_getcpu", at: 0xc00, size: 44 },
]);

const bytes = (image: Buffer, start = AT): Placed<Address> => ({
	start: address(start),
	length: BigInt(image.length),
	source: fromBuffer("/images/pages-1.img", image),
	offset: fileOffset(0),
	available: BigInt(image.length),
});
const vdso = mapping(AT, 2, { kind: "vdso" }, { prot: 5 });
const vvar = mapping(VVAR, 6, { kind: "vvar" }, { prot: 1, advice: [16] });
const taskWith = (parts: Partial<MemoryParts>) => taskOf({ mappings: [vvar, vdso], contents: [bytes(host)], ...parts });
const vdsoCalls = (task: ReturnType<typeof taskOf>): readonly string[] => {
	const { steps, calls } = planned(task, facts);
	return calls.filter((_, i) => steps[i]?.stage === "vdso");
};

const ours = ["arch_prctl 2003 7fff10000000", "mmap 7fff10000000 1000 0 100022 -1 0"];

describe("the same kernel's vdso", () => {
	it("is mapped by the kernel where it was, and the place is checked", () => {
		expect(vdsoCalls(taskWith({}))).toEqual(ours);
		const model = executed(taskWith({}), new Map(), facts);
		expect(model.areas()).toMatchObject([
			{ start: VVAR, end: AT, what: "[vvar]" },
			{ start: AT, end: AT + 0x2000n, what: "[vdso]" },
		]);
		expect(model.draft.findings).toEqual([]);
	});

	it("is so too when older kernels or mprotect had it in several mappings", () => {
		const mappings = [
			mapping(VVAR, 4, { kind: "vvar" }, { prot: 1 }),
			mapping(VVAR + 0x4000n, 2, { kind: "vvar" }, { prot: 1 }),
			mapping(AT, 1, { kind: "vdso" }, { prot: 5 }),
			mapping(AT + 0x1000n, 1, { kind: "vdso" }, { prot: 1 }),
		];
		expect(vdsoCalls(taskWith({ mappings }))).toEqual(ours);
	});

	it("is so when the core left the clocks out, if there is room for them", () => {
		expect(vdsoCalls(taskWith({ mappings: [vdso] }))).toEqual(ours);
		const taken = mapping(AT - 0x1000n, 1, { kind: "anonymous" });
		expect(vdsoCalls(taskWith({ mappings: [taken, vdso] }))[0]).not.toBe(ours[0]);
	});

	it("is taken for the same by its size alone when its bytes were not saved", () => {
		const { draft } = planned(taskWith({ contents: [] }), facts);
		expect(draft.findings).toEqual([
			caution(
				"vdso",
				"vdso at 0x7fff10006000",
				"its bytes were not saved; this kernel's is taken for the same, as it has the same size",
			),
		]);
	});

	it("fails where the kernel did not grant the wish", () => {
		// its clocks are larger than was measured: they do not fit below, and the kernel goes elsewhere
		const above = mapping(AT + 0x2000n, 1, { kind: "anonymous" });
		const task = taskWith({ mappings: [vvar, vdso, above] });
		const vdsoOfHost = { image: host, vvarLength: 0x7000n };
		expect(() => executed(task, new Map(), facts, { vdso: vdsoOfHost })).toThrow(
			"(make sure that it is there) returned 140733461823488",
		);
	});

	it("is not there in a process that had none", () => {
		expect(vdsoCalls(taskWith({ mappings: [], contents: [] }))).toEqual([]);
	});
});

describe("another kernel's vdso", () => {
	const task = taskWith({ contents: [bytes(other)], ip: AT + 0xb10n });

	it("comes back as memory with its functions redirected; the host's lies aside", () => {
		const model = executed(task, new Map(), facts);
		expect(model.areas().map(({ start, end, prot, what }) => [start, end, prot, what])).toEqual([
			[0x2000_0080_1000n, 0x2000_0080_7000n, 1, "[vvar]"],
			[0x2000_0080_7000n, 0x2000_0080_9000n, 5, "[vdso]"],
			[VVAR, AT, 1, "anonymous"],
			[AT, AT + 0x2000n, 5, "anonymous"],
		]);
		const expected = Buffer.from(other);
		Buffer.from("48b80079800000200000ffe0", "hex").copy(expected, 0xb00);
		Buffer.from("b8350100000f05c3", "hex").copy(expected, 0xc00);
		expect(model.page(AT).equals(expected.subarray(0, PAGE))).toBe(true);
		expect(model.page(AT + 0x1000n).equals(expected.subarray(PAGE))).toBe(true);
	});

	it("is said to be, and so is a thread that was inside", () => {
		expect(planned(task, facts).draft.findings).toEqual([
			note(
				"vdso",
				"vdso at 0x7fff10006000",
				"is another kernel's; 1 functions go on in this kernel's, 1 are system calls",
			),
			caution(
				"vdso",
				"thread 5739",
				"was inside the vdso, at 0x7fff10006b10; what it goes on with may be wrong, as another kernel's clocks are gone",
			),
		]);
	});

	it("is all system calls where this kernel has none", () => {
		const { calls, steps, draft } = planned(task, { vdso: { image: new Uint8Array(), vvarLength: 0n } });
		expect(calls.filter((_, i) => steps[i]?.stage === "vdso").map((call) => call.split(" ")[0])).toEqual([
			...["mmap", "process_vm_writev", "mprotect", "mmap"],
		]);
		expect(draft.findings[0]?.text).toBe("is another kernel's; 0 functions go on in this kernel's, 2 are system calls");
	});

	it("is refused without its bytes, and where it is larger than any", () => {
		const longer = mapping(AT, 3, { kind: "vdso" }, { prot: 5 });
		expect(refusal(() => planned(taskWith({ mappings: [vvar, longer], contents: [] }), facts))).toBe(
			"ERR_TASK_UNRUNNABLE vdso at 0x7fff10006000: has no bytes in the images, expected all of it: this kernel's is another",
		);
		const huge = mapping(AT, 1000, { kind: "vdso" }, { prot: 5 });
		expect(refusal(() => planned(taskWith({ mappings: [huge] }), facts))).toBe(
			"ERR_TASK_UNRUNNABLE vdso at 0x7fff10006000: has 4096000 bytes up to 0x7fff103ee000, expected one range of at most 65536",
		);
	});
});

describe("redirect", () => {
	const none = { image: new Uint8Array(), at: address(0n) };

	it("answers a question for the vdso's own random state as a kernel without it does", () => {
		const image = vdsoImage([{ name: "__vdso_getrandom", at: 0x900, size: 64 }]);
		const done = redirect(image, none);
		expect(Buffer.from(done.image.subarray(0x900, 0x914)).toString("hex")).toBe(
			// cmp $-1, %r8; jne +6; mov $-38, %eax; ret; mov $318, %eax; syscall; ret
			"4983f8ff7506b8daffffffc3b83e0100000f05c3",
		);
		expect(done.calls).toEqual(["__vdso_getrandom"]);
	});

	it("leaves what it does not know, what is too small, and what another function needs", () => {
		const image = vdsoImage([
			{ name: "__vdso_sgx_enter_enclave", at: 0x900, size: 64 },
			{ name: "__vdso_time", at: 0xa00, size: 7 },
			{ name: "__vdso_getcpu", at: 0xb00, size: 40 },
			{ name: "__vdso_gettimeofday", at: 0xb04, size: 40 },
		]);
		const done = redirect(image, none);
		expect(done.left).toEqual(["__vdso_sgx_enter_enclave", "__vdso_time", "__vdso_gettimeofday"]);
		expect(done.calls).toEqual(["__vdso_getcpu"]);
		expect([...done.image.subarray(0xa00, 0xa08)]).toEqual([...image.subarray(0xa00, 0xa08)]);
	});
});
