import { describe, expect, it } from "vitest";
import {
	PTRACE,
	PTRACE_EVENT_STOP,
	PTRACE_O,
	PTRACE_SYSCALL_INFO,
	ptracePeeksiginfoArgs,
	ptraceRseqConfiguration,
	ptraceSyscallInfo,
} from "../../../src/linux/ptrace.ts";
import { WAIT, waitStatus } from "../../../src/linux/wait.ts";
import { hasGcc, numbersOf } from "../../support/tools.ts";

const gcc = hasGcc();

describe.skipIf(!gcc)("what <linux/ptrace.h> and <linux/wait.h> say (needs gcc and linux-libc-dev)", () => {
	const constants: readonly (readonly [string, number])[] = [
		...Object.entries(PTRACE).map(([name, value]): [string, number] => [`PTRACE_${name}`, value]),
		...Object.entries(PTRACE_O).map(([name, value]): [string, number] => [`PTRACE_O_${name}`, value]),
		...Object.entries(PTRACE_SYSCALL_INFO).map(([name, value]): [string, number] => [
			`PTRACE_SYSCALL_INFO_${name}`,
			value,
		]),
		["PTRACE_EVENT_STOP", PTRACE_EVENT_STOP],
		["WNOHANG", WAIT.NOHANG],
		["WUNTRACED", WAIT.UNTRACED],
		["WCONTINUED", WAIT.CONTINUED],
		["__WALL", WAIT.ALL],
	];
	const fields = { op: "op", arch: "arch", instruction_pointer: "instruction_pointer", stack_pointer: "stack_pointer" };
	const said = gcc
		? numbersOf(
				[
					"#include <stdio.h>\n#include <stddef.h>\n#include <asm/ptrace-abi.h>\n#include <linux/ptrace.h>\n#include <linux/wait.h>",
					"int main(void) {",
					...constants.flatMap(([name]) => [
						`#ifdef ${name}`,
						`printf("${name} %lld\\n", (long long)${name});`,
						"#endif",
					]),
					...Object.values({ ...fields, nr: "entry.nr", rval: "exit.rval" }).map(
						(field) => `printf("${field} %zu\\n", offsetof(struct ptrace_syscall_info, ${field}));`,
					),
					...[ptracePeeksiginfoArgs, ptraceRseqConfiguration].flatMap(({ name, fields: members }) => [
						`printf("${name} %zu\\n", sizeof(struct ${name}));`,
						...Object.keys(members).map(
							(field) => `printf("${name}.${field} %zu\\n", offsetof(struct ${name}, ${field}));`,
						),
					]),
					"return 0; }",
				].join("\n"),
			)
		: new Map<string, bigint>();

	it.each([ptracePeeksiginfoArgs, ptraceRseqConfiguration])("$name lies so in memory", (struct) => {
		expect(said.get(struct.name)).toBe(BigInt(struct.size));
		for (const field of Object.keys(struct.fields))
			expect([field, said.get(`${struct.name}.${field}`)]).toEqual([field, BigInt(struct.offsetOf(field as never))]);
	});

	it("constants have these values", () => {
		const known = constants.filter(([name]) => said.has(name));
		expect(known.length).toBeGreaterThan(18);
		expect(known.map(([name, value]) => [name, BigInt(value)])).toEqual(known.map(([name]) => [name, said.get(name)]));
	});

	it("ptrace_syscall_info lies so in memory, and entry and exit begin at the same place", () => {
		for (const field of ["op", "arch", "instruction_pointer", "stack_pointer"] as const) {
			expect([field, said.get(field)]).toEqual([field, BigInt(ptraceSyscallInfo.offsetOf(field))]);
		}
		expect(said.get("entry.nr")).toBe(BigInt(ptraceSyscallInfo.offsetOf("nr")));
		expect(said.get("exit.rval")).toBe(BigInt(ptraceSyscallInfo.offsetOf("nr")));
	});
});

describe("waitStatus", () => {
	it.each([
		[0x0000, { kind: "exited", status: 0 }],
		[0x6f00, { kind: "exited", status: 111 }],
		[0x0009, { kind: "killed", signal: 9 }],
		[0x008b, { kind: "killed", signal: 11 }],
		[0x857f, { kind: "syscall" }],
		[0x137f, { kind: "signal", signal: 19 }],
		[0x057f, { kind: "signal", signal: 5 }],
		[0x80057f, { kind: "event", event: 128, signal: 5 }],
		[0x80137f, { kind: "event", event: 128, signal: 19 }],
	])("reads %i", (word, status) => {
		expect(waitStatus(word)).toEqual(status);
	});
});
