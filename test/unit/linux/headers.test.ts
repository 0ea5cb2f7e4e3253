import { describe, expect, it } from "vitest";
import { elfPrstatus, fxregs } from "../../../src/arch/x86-64/notes.ts";
import { userRegs } from "../../../src/arch/x86-64/registers.ts";
import { RSEQ_CS_FLAG, rseqArea, rseqCs } from "../../../src/arch/x86-64/rseq.ts";
import { syscallNames } from "../../../src/arch/x86-64/syscalls.ts";
import type { Layout } from "../../../src/bytes/layout.ts";
import { AT } from "../../../src/linux/auxv.ts";
import { auxvPair, elfPrpsinfo } from "../../../src/linux/elf-core.ts";
import { ERESTARTSYS, errnoNames } from "../../../src/linux/errno.ts";
import { F, F_OWNER, FD_CLOEXEC, fOwnerEx } from "../../../src/linux/fcntl.ts";
import { robustListHead } from "../../../src/linux/futex.ts";
import { MADV, MAP, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE } from "../../../src/linux/mman.ts";
import { O, O_ACCMODE } from "../../../src/linux/open.ts";
import { epollEvent } from "../../../src/linux/poll.ts";
import { SIGINFO_SIZE, SIGINFO_UNION, siginfoFields, siginfoHead } from "../../../src/linux/siginfo.ts";
import { SI, siginfoCode } from "../../../src/linux/siginfo-codes.ts";
import { signalName, signalNumber } from "../../../src/linux/signal.ts";
import { S_IFCHR, S_IFMT, S_IFREG } from "../../../src/linux/stat.ts";
import { itimerspec, TFD_IOC_SET_TICKS, TFD_TIMER_ABSTIME, timespec } from "../../../src/linux/time.ts";
import { hasGcc, macrosOf, numbersOf } from "../../support/tools.ts";

const headers = [
	"stdio.h",
	"stddef.h",
	"signal.h",
	"sys/procfs.h",
	"sys/user.h",
	"sys/mman.h",
	"elf.h",
	"linux/futex.h",
	"linux/rseq.h",
	"linux/mman.h",
	"linux/fcntl.h",
	"linux/stat.h",
	"linux/timerfd.h",
	"sys/epoll.h",
	"time.h",
];

/** A C structure, the layout that declares it, the names that differ between the two, and members the header may lack. */
interface Twin {
	readonly c: string;
	readonly layout: Layout<object>;
	readonly renamed?: Readonly<Record<string, string>>;
	readonly absent?: readonly string[];
}

const twins: readonly Twin[] = [
	{
		c: "struct elf_prstatus",
		layout: elfPrstatus,
		renamed: { si_signo: "pr_info.si_signo", si_code: "pr_info.si_code", si_errno: "pr_info.si_errno" },
	},
	{ c: "struct elf_prpsinfo", layout: elfPrpsinfo },
	{
		c: "struct user_regs_struct",
		layout: userRegs,
		renamed: {
			...{ bp: "rbp", bx: "rbx", ax: "rax", cx: "rcx", dx: "rdx", si: "rsi", di: "rdi", orig_ax: "orig_rax" },
			...{ ip: "rip", flags: "eflags", sp: "rsp" },
		},
	},
	{ c: "struct user_fpregs_struct", layout: fxregs, renamed: { twd: "ftw", mxcsr_mask: "mxcr_mask" } },
	{ c: "Elf64_auxv_t", layout: auxvPair, renamed: { a_val: "a_un.a_val" } },
	{ c: "struct robust_list_head", layout: robustListHead, renamed: { list: "list.next" } },
	{ c: "struct rseq", layout: rseqArea, absent: ["node_id", "mm_cid"] },
	{ c: "struct rseq_cs", layout: rseqCs },
	{ c: "struct epoll_event", layout: epollEvent },
	{ c: "struct f_owner_ex", layout: fOwnerEx },
	{ c: "struct timespec", layout: timespec },
	{ c: "struct itimerspec", layout: itimerspec },
];

const unionMembers = {
	"kill.pid": "si_pid",
	"kill.uid": "si_uid",
	"timer.tid": "si_timerid",
	"timer.overrun": "si_overrun",
	"timer.sigval": "si_value",
	"rt.sigval": "si_ptr",
	"sigchld.status": "si_status",
	"sigchld.utime": "si_utime",
	"sigchld.stime": "si_stime",
	"sigfault.addr": "si_addr",
	"sigfault.addr_lsb": "si_addr_lsb",
	"sigfault.lower": "si_lower",
	"sigfault.upper": "si_upper",
	"pkey.pkey": "si_pkey",
	"sigpoll.band": "si_band",
	"sigpoll.fd": "si_fd",
	"sigsys.call_addr": "si_call_addr",
	"sigsys.syscall": "si_syscall",
	"sigsys.arch": "si_arch",
} as const;

const codes = [...Array(32).keys()].flatMap((signal) =>
	[...Array(16).keys()].map((code): [string, number] => [siginfoCode(signal, code + 1)?.name ?? "", code + 1]),
);

const constants: readonly (readonly [string, number])[] = [
	...Object.entries({ PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, O_ACCMODE }),
	...Object.entries(MAP).map(([name, value]): [string, number] => [`MAP_${name}`, value]),
	...Object.entries(MADV).map(([name, value]): [string, number] => [`MADV_${name}`, value]),
	...Object.entries(O).map(([name, value]): [string, number] => [`O_${name}`, value]),
	...Object.entries(F).map(([name, value]): [string, number] => [`F_${name}`, value]),
	...Object.entries(F_OWNER).map(([name, value]): [string, number] => [`F_OWNER_${name}`, value]),
	...Object.entries({ FD_CLOEXEC, S_IFCHR, S_IFMT, S_IFREG, TFD_IOC_SET_TICKS, TFD_TIMER_ABSTIME }),
	...Object.entries(AT).map(([name, value]): [string, number] => [`AT_${name}`, value]),
	...Object.entries(SI).map(([name, value]): [string, number] => [`SI_${name}`, value]),
	...codes.filter(([name]) => name !== "" && !name.startsWith("SI_")),
	...Array.from({ length: 31 }, (_, i): [string, number] => [signalName(i + 1), i + 1]),
];

const program = (): string => {
	const number = (name: string, expression: string): string =>
		`printf("%s %lld\\n", "${name}", (long long)(${expression}));`;
	return [
		...headers.map((header) => `#include <${header}>`),
		"int main(void) {",
		...twins.flatMap(({ c, layout, renamed, absent }) => [
			number(`${layout.name}`, `sizeof(${c})`),
			...Object.keys(layout.fields)
				.filter((field) => !absent?.includes(field))
				.map((field) => number(`${layout.name}.${field}`, `offsetof(${c}, ${renamed?.[field] ?? field})`)),
		]),
		number("siginfo", "sizeof(siginfo_t)"),
		...Object.keys(siginfoHead.fields).map((field) => number(`siginfo.${field}`, `offsetof(siginfo_t, ${field})`)),
		...Object.entries(unionMembers).map(([ours, c]) => number(ours, `offsetof(siginfo_t, ${c})`)),
		...constants.flatMap(([name]) => [`#ifdef ${name}`, number(name, name), "#endif"]),
		...Object.keys(RSEQ_CS_FLAG).map((name) => number(`RSEQ_CS_FLAG_${name}`, `RSEQ_CS_FLAG_${name}`)),
		"return 0; }",
	].join("\n");
};

const gcc = hasGcc();

describe.skipIf(!gcc)("what the C headers say (needs gcc and linux-libc-dev)", () => {
	const said = gcc ? numbersOf(program()) : new Map<string, bigint>();

	it.each(twins)("$c lies in memory as its layout says", ({ layout, absent }) => {
		expect(layout.size).toBe(Number(said.get(layout.name)));
		for (const field of Object.keys(layout.fields).filter((name) => !absent?.includes(name))) {
			expect([field, layout.offsetOf(field as never)]).toEqual([field, Number(said.get(`${layout.name}.${field}`))]);
		}
	});

	it("siginfo_t is 128 bytes with its union at 16, and every member is where we read it", () => {
		expect(said.get("siginfo")).toBe(BigInt(SIGINFO_SIZE));
		for (const field of ["si_signo", "si_errno", "si_code"] as const) {
			expect(said.get(`siginfo.${field}`)).toBe(BigInt(siginfoHead.offsetOf(field)));
		}
		const members: Readonly<Record<string, Layout<object>>> = siginfoFields;
		for (const name of Object.keys(unionMembers)) {
			const [member = "", field = ""] = name.split(".");
			expect([name, SIGINFO_UNION + (members[member]?.offsetOf(field as never) ?? -1)]).toEqual([
				name,
				Number(said.get(name)),
			]);
		}
	});

	it("constants have the values of the headers, where these know them", () => {
		const known = constants.filter(([name]) => said.has(name));
		expect(known.length).toBeGreaterThan(160);
		expect(known.map(([name, value]) => [name, BigInt(value)])).toEqual(known.map(([name]) => [name, said.get(name)]));
		for (const [name, value] of Object.entries(RSEQ_CS_FLAG)) {
			expect(said.get(`RSEQ_CS_FLAG_${name}`)).toBe(BigInt(value));
		}
	});

	it("every system call the installed header knows has its number in the table", () => {
		const macros = [...macrosOf("asm/unistd_64.h")].filter(([name]) => name.startsWith("__NR_"));
		expect(macros.length).toBeGreaterThan(350);
		expect(macros.map(([, number]) => [`__NR_${syscallNames.get(number) ?? "?"}`, number])).toEqual(macros);
	});

	it("every errno and signal the installed headers know is in the tables", () => {
		const errnos = [...macrosOf("errno.h")].filter(([name]) => /^E[A-Z0-9]+$/.test(name));
		expect(errnos.map(([, number]) => errnoNames.get(number))).toEqual(errnos.map(([name]) => name));
		expect([...errnoNames.keys()].filter((number) => number < ERESTARTSYS)).toHaveLength(errnos.length);
		const signals = [...macrosOf("asm/signal.h")].filter(([name, value]) => /^SIG[A-Z0-9]+$/.test(name) && value < 32);
		expect(signals.length).toBeGreaterThan(30);
		const named = signals.filter(([name]) => !["SIGRTMIN", "SIGUNUSED"].includes(name));
		expect(named.map(([name]) => [name, signalNumber(name)])).toEqual(named);
	});
});
