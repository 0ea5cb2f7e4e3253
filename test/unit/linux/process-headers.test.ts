import { describe, expect, it } from "vitest";
import { IOV_MAX, iovec } from "../../../src/linux/io.ts";
import { MFD, MREMAP } from "../../../src/linux/mman.ts";
import { ARCH, PR, PR_CAP_AMBIENT, PR_SET_MM, prctlMmMap } from "../../../src/linux/prctl.ts";
import { CLONE, cloneArgs } from "../../../src/linux/sched.ts";
import { hasGcc, numbersOf } from "../../support/tools.ts";

const headers = ["stdio.h", "stddef.h", "linux/prctl.h", "asm/prctl.h", "linux/sched.h", "linux/uio.h", "linux/mman.h"];
const layouts = [prctlMmMap, cloneArgs, iovec];
const named = (prefix: string, table: object): [string, number][] =>
	Object.entries(table).map(([name, value]) => [`${prefix}_${name}`, Number(value)]);
const constants = [
	...[...named("PR", PR), ...named("PR_SET_MM", PR_SET_MM), ...named("PR_CAP_AMBIENT", PR_CAP_AMBIENT)],
	...[...named("ARCH", ARCH), ...named("CLONE", CLONE), ...named("MREMAP", MREMAP), ...named("MFD", MFD)],
	["UIO_MAXIOV", IOV_MAX] as [string, number],
];

const program = (): string => {
	const line = (name: string, value: string): string => `printf("%s %lld\\n", "${name}", (long long)(${value}));`;
	return [
		...[...headers, "linux/memfd.h"].map((header) => `#include <${header}>`),
		"int main(void) {",
		...layouts.flatMap(({ name, fields }) => [
			line(name, `sizeof(struct ${name})`),
			...Object.keys(fields).map((field) => line(`${name}.${field}`, `offsetof(struct ${name}, ${field})`)),
		]),
		...constants.flatMap(([name]) => [`#ifdef ${name}`, line(name, name), "#endif"]),
		"return 0; }",
	].join("\n");
};

const gcc = hasGcc();

describe.skipIf(!gcc)("what the C headers say of making processes (needs gcc and linux-libc-dev)", () => {
	const said = gcc ? numbersOf(program()) : new Map<string, bigint>();

	it.each(layouts)("struct $name lies in memory as its layout says", ({ name, size, fields, offsetOf }) => {
		expect(size).toBe(Number(said.get(name)));
		for (const field of Object.keys(fields))
			expect([field, offsetOf(field as never)]).toEqual([field, Number(said.get(`${name}.${field}`))]);
	});

	it("constants have the values of the headers, where these know them", () => {
		const known = constants.filter(([name]) => said.has(name));
		// the newest are not in the headers of every distribution: MFD_EXEC and PR_SET_MDWE are of Linux 6.3
		expect(known.length).toBeGreaterThan(constants.length - 9);
		expect(known.map(([name, value]) => [name, BigInt(value)])).toEqual(known.map(([name]) => [name, said.get(name)]));
	});
});
