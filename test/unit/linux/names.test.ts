import { describe, expect, it } from "vitest";
import { syscallName, syscallNames, syscallNumbers } from "../../../src/arch/x86-64/syscalls.ts";
import { errnoName } from "../../../src/linux/errno.ts";
import { robustListHead } from "../../../src/linux/futex.ts";
import {
	MAP,
	MAP_HUGE_SHIFT,
	mapFlagsText,
	PROT_EXEC,
	PROT_READ,
	PROT_WRITE,
	protText,
} from "../../../src/linux/mman.ts";
import { O, openFlagsText } from "../../../src/linux/open.ts";
import {
	hasSignal,
	signalBit,
	signalName,
	signalNumber,
	signalSetText,
	signalsIn,
	withoutSignals,
	withSignals,
} from "../../../src/linux/signal.ts";

describe("signals", () => {
	it.each<[number, string]>([
		[1, "SIGHUP"],
		[6, "SIGABRT"],
		[31, "SIGSYS"],
		[32, "SIG32"],
		[34, "SIGRTMIN"],
		[36, "SIGRTMIN+2"],
		[64, "SIGRTMIN+30"],
	])("%i is %s and back", (number, name) => {
		expect(signalName(number)).toBe(name);
		expect(signalNumber(name)).toBe(number);
	});

	it("understands other spellings, and has words for what is no signal", () => {
		expect([signalNumber("SIGRTMAX-1"), signalNumber("SIGRTMAX"), signalNumber("SIGIOT")]).toEqual([63, 64, 6]);
		expect(signalNumber("SIGNOTHING")).toBeUndefined();
		expect([signalName(0), signalName(65), signalName(-1)]).toEqual(["SIG0", "SIG65", "SIG-1"]);
	});

	it("sets hold signal n in bit n-1", () => {
		expect(signalsIn(0x8000_0000_0000_0401n)).toEqual([1, 11, 64]);
		expect(withSignals(0n, 1, 11, 64)).toBe(0x8000_0000_0000_0401n);
		expect(withoutSignals(0xffff_ffff_ffff_ffffn, 9, 19)).toBe(0xffff_ffff_fffb_feffn);
		expect(hasSignal(0x400n, 11)).toBe(true);
		expect(signalSetText(0x10002n)).toBe("SIGINT, SIGCHLD");
		expect(signalSetText(0n)).toBe("none");
		expect(() => signalBit(0)).toThrow(new RangeError("no signal 0"));
		expect(() => signalBit(65)).toThrow(RangeError);
	});
});

describe("system calls", () => {
	it("names what a thread is in", () => {
		expect(syscallName(202n)).toBe("futex");
		expect(syscallName(0xffff_ffff_ffff_ffffn)).toBeUndefined();
		expect(syscallName(400n)).toBe("syscall 400");
		expect(syscallName(0x7fff_ffff_ffff_ffffn)).toBe("syscall 9223372036854775807");
	});

	it("is complete to Linux 6.18", () => {
		expect(syscallNames.size).toBe(337 + 46);
		expect(syscallNumbers.size).toBe(syscallNames.size);
		expect([334, 335, 336, 424, 453, 462, 469].map((number) => syscallNames.get(number))).toEqual([
			...["rseq", "uretprobe", "uprobe", "pidfd_send_signal", "map_shadow_stack", "mseal", "file_setattr"],
		]);
	});
});

describe("errnos", () => {
	it("names them by either sign, the kernel's own too", () => {
		expect([errnoName(4), errnoName(-4), errnoName(512), errnoName(41)]).toEqual([
			...["EINTR", "EINTR", "ERESTARTSYS", "errno 41"],
		]);
	});
});

describe("flags in words", () => {
	it("protections", () => {
		expect([0, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, 7].map(protText)).toEqual([
			...["---", "r--", "rw-", "r-x", "rwx"],
		]);
	});

	it.each<[string, number]>([
		["MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN", 0x122],
		["MAP_SHARED_VALIDATE|MAP_SYNC", 0x80003],
		["MAP_DROPPABLE|MAP_ANONYMOUS", 0x28],
		["MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|MAP_HUGE_2MB", 0x22 | MAP.HUGETLB | (21 << MAP_HUGE_SHIFT)],
		["MAP_PRIVATE|MAP_HUGETLB|MAP_HUGE_16GB", 0x2 | MAP.HUGETLB | (34 << MAP_HUGE_SHIFT)],
		["MAP_HUGETLB", MAP.HUGETLB],
		["MAP_PRIVATE|0x80000000", 0x80000002],
		["MAP_FIXED|0x4", 0x14],
		["0", 0],
	])("mmap: %s", (words, flags) => {
		expect(mapFlagsText(flags)).toBe(words);
	});

	it.each<[string, number]>([
		["O_RDONLY", 0],
		["O_RDWR|O_APPEND|O_LARGEFILE", 0o102002],
		["O_WRONLY|O_SYNC", 0o4010001],
		["O_WRONLY|O_DSYNC", 0o10001],
		["O_RDWR|O_TMPFILE|O_CLOEXEC", O.RDWR | O.TMPFILE | O.CLOEXEC],
		["O_RDONLY|O_DIRECTORY|O_PATH", O.DIRECTORY | O.PATH],
		["O_ACCMODE|0x40000000", 0x40000003],
	])("open: %s", (words, flags) => {
		expect(openFlagsText(flags)).toBe(words);
	});
});

it("struct robust_list_head is the 24 bytes set_robust_list(2) wants", () => {
	expect(robustListHead.size).toBe(24);
});
