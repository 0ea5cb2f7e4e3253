import { describe, expect, it } from "vitest";
import {
	FP_XSTATE_MAGIC1,
	FP_XSTATE_MAGIC2,
	fpxSwBytes,
	sigcontext,
	stackT,
	UC,
	ucontext,
} from "../../../src/arch/x86-64/sigframe.ts";
import type { Layout } from "../../../src/bytes/layout.ts";
import {
	CAPABILITIES,
	CAPABILITY_VERSION_3,
	capabilityName,
	capUserData,
	capUserHeader,
	encodeCapabilities,
	SECBIT_NO_SETUID_FIXUP,
} from "../../../src/linux/credentials.ts";
import { FUTEX, futexStore } from "../../../src/linux/futex.ts";
import { limitNames, rlimit64 } from "../../../src/linux/resource.ts";
import { CLONE, cloneArgs, SCHED } from "../../../src/linux/sched.ts";
import { SIGEV, sigevent } from "../../../src/linux/siginfo.ts";
import { kernelSigaction, SMALLEST_ALTERNATE_STACK, SS_DISABLE } from "../../../src/linux/signal.ts";
import { ITIMER, itimerspec, itimerval, timespec, timeval } from "../../../src/linux/time.ts";
import { hasGcc, numbersOf } from "../../support/tools.ts";

// The kernel's own headers, apart from those of the C library: the two declare the same names.

const headers = [
	...["linux/types.h", "stddef.h", "linux/signal.h", "asm/siginfo.h", "asm/sigcontext.h", "asm/ucontext.h"],
	...["linux/sched.h", "linux/futex.h", "linux/capability.h", "linux/securebits.h", "linux/resource.h", "linux/time.h"],
	...["linux/time_types.h"],
];

/** A C structure, the layout that declares it, and the names that differ between the two. */
type Twin = readonly [c: string, layout: Layout<object>, renamed: Readonly<Record<string, string>>];

const structs: readonly Twin[] = [
	["struct clone_args", cloneArgs, {}],
	["struct sigaction", kernelSigaction, {}],
	["struct sigcontext", sigcontext, {}],
	["struct ucontext", ucontext, {}],
	["stack_t", stackT, {}],
	["struct _fpx_sw_bytes", fpxSwBytes, {}],
	["struct sigevent", sigevent, { sigev_notify_thread_id: "_sigev_un._tid", _pad: "_sigev_un._pad[1]" }],
	["struct rlimit64", rlimit64, {}],
	["struct __user_cap_header_struct", capUserHeader, {}],
	["struct __user_cap_data_struct", capUserData, {}],
	["struct __kernel_timespec", timespec, {}],
	["struct __kernel_itimerspec", itimerspec, {}],
	["struct timeval", timeval, {}],
	["struct itimerval", itimerval, {}],
];

const prefixed = (prefix: string, values: Readonly<Record<string, number>>): [string, number][] =>
	Object.entries(values).map(([name, value]) => [`${prefix}${name}`, value]);

const constants: readonly (readonly [string, number])[] = [
	...prefixed("CLONE_", CLONE),
	...prefixed("FUTEX_", FUTEX),
	...prefixed("SIGEV_", SIGEV),
	...prefixed("ITIMER_", ITIMER),
	...prefixed("UC_", UC),
	...limitNames.map((name, i): [string, number] => [`RLIMIT_${name}`, i]),
	...Array.from({ length: CAPABILITIES }, (_, bit): [string, number] => [capabilityName(bit), bit]),
	...Object.entries({ FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, SS_DISABLE }),
	["SCHED_NORMAL", SCHED.OTHER],
	...prefixed("SCHED_", { FIFO: SCHED.FIFO, RR: SCHED.RR, BATCH: SCHED.BATCH, IDLE: SCHED.IDLE }),
	...prefixed("SCHED_", { DEADLINE: SCHED.DEADLINE, RESET_ON_FORK: SCHED.RESET_ON_FORK }),
	["MINSIGSTKSZ", Number(SMALLEST_ALTERNATE_STACK)],
	["_LINUX_CAPABILITY_VERSION_3", CAPABILITY_VERSION_3],
	["SECBIT_NO_SETUID_FIXUP", SECBIT_NO_SETUID_FIXUP],
	["FUTEX_OP(FUTEX_OP_SET, 5, FUTEX_OP_CMP_LT, 0)", Number(futexStore(5))],
	["CAP_LAST_CAP + 1", CAPABILITIES],
];

const program = (): string =>
	[
		...headers.map((header) => `#include <${header}>`),
		"int printf(const char *, ...);",
		"int main(void) {",
		...structs.flatMap(([c, { name, fields }, renamed]) => [
			`printf("${name} %ld\\n", (long)sizeof(${c}));`,
			...Object.keys(fields).map(
				(field) => `printf("${name}.${field} %ld\\n", (long)offsetof(${c}, ${renamed[field] ?? field}));`,
			),
		]),
		...constants.map(([name], i) => `printf("constant%d %lld\\n", ${i}, (long long)(${name}));`),
		"return 0; }",
	].join("\n");

const gcc = hasGcc();

describe.skipIf(!gcc)("what the kernel's headers say (needs gcc and linux-libc-dev)", () => {
	const said = gcc ? numbersOf(program()) : new Map<string, bigint>();

	it.each(structs)("%s lies in memory as its layout says", (_, layout) => {
		expect(layout.size).toBe(Number(said.get(layout.name)));
		for (const field of Object.keys(layout.fields))
			expect([field, layout.offsetOf(field as never)]).toEqual([field, Number(said.get(`${layout.name}.${field}`))]);
	});

	it("constants have the values of the headers", () => {
		expect(constants.map(([name, value]) => [name, BigInt(value)])).toEqual(
			constants.map(([name], i) => [name, said.get(`constant${i}`)]),
		);
	});
});

describe("capability sets", () => {
	it("are split into halves, low capabilities first", () => {
		const bytes = encodeCapabilities({ effective: 0x1_0000_0002n, permitted: 0x3_0000_0004n, inheritable: 5n });
		expect(Array.from(new Uint32Array(bytes.buffer))).toEqual([2, 4, 5, 1, 3, 0]);
	});

	it("have a number where they have no name", () => {
		expect([capabilityName(21), capabilityName(50)]).toEqual(["CAP_SYS_ADMIN", "capability 50"]);
	});
});
