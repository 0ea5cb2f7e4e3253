import { describe, expect, it } from "vitest";
import {
	Command,
	CommanderError,
	clockOption,
	descriptorOption,
	listOption,
	pidOption,
	renameOption,
	sizeOption,
} from "../../../src/cli/command-line.ts";

/** What the options come to; the message where they are refused. */
function parsed(...args: readonly string[]): unknown {
	const command = new Command()
		.exitOverride()
		.configureOutput({ writeErr: () => {} })
		.addOption(sizeOption("--max-size <size>", ""))
		.addOption(renameOption("--map-file <old=new>", ""))
		.addOption(listOption("--search <dir>", ""))
		.addOption(descriptorOption("--fd <n=path>", ""))
		.addOption(pidOption("--pid <pid>", ""))
		.addOption(clockOption());
	try {
		return command.parse(args, { from: "user" }).opts();
	} catch (error) {
		if (error instanceof CommanderError) return error.message.replace(/^error: option '.*' is invalid\. /, "");
		throw error;
	}
}

describe("a size", () => {
	it.each([
		["0", 0n],
		["4096", 4096n],
		["1k", 1024n],
		["512M", 512n << 20n],
		["64G", 64n << 30n],
		["64GiB", 64n << 30n],
		["2tb", 2n << 40n],
	])("%s", (text, bytes) => {
		expect(parsed("--max-size", text)).toEqual({ maxSize: bytes });
	});

	it.each(["", "M", "-1", "1.5G", "1e9", "0x10", "1 G", "10P", "9".repeat(16)])("is not %j", (text) => {
		expect(parsed("--max-size", text)).toBe(`expected a size such as 512M or 64G, not "${text}".`);
	});
});

describe("a clock", () => {
	it.each([
		["0", 0n],
		["7447.5", 7_447_500_000_000n],
		["1.000000001", 1_000_000_001n],
		["4611686017.999999999", 4_611_686_017_999_999_999n],
		["host", "host"],
	])("%s", (text, clock) => {
		expect(parsed("--clock", text)).toEqual({ clock });
	});

	it.each(["", "-1", "1.", ".5", "1e3", "1s", "HOST", "1.0000000001", "4611686018", "9".repeat(11)])(
		"is not %j",
		(text) => {
			expect(parsed(`--clock=${text}`)).toBe(`expected seconds below 4611686018, or host, not "${text}".`);
		},
	);
});

describe("a renamed file", () => {
	it("is one of many; its new name may have an =", () => {
		expect(parsed("--map-file", "/a=/b", "--map-file", "/c=/d=e", "--map-file", "/a=/f")).toEqual({
			mapFile: new Map([
				["/a", "/f"],
				["/c", "/d=e"],
			]),
		});
	});

	it.each(["", "/a", "/a=", "=/b"])("is not %j", (text) => {
		expect(parsed("--map-file", text)).toBe(`expected OLD=NEW with two paths, not "${text}".`);
	});
});

describe("a descriptor", () => {
	it("has a number and a path", () => {
		expect(parsed("--fd", "3=/tmp/a=b", "--fd", "1048575=x")).toEqual({
			fd: new Map([
				[3, "/tmp/a=b"],
				[1048575, "x"],
			]),
		});
	});

	it.each(["3", "3=", "=x", "-1=x", "1048576=x", "a=x"])("is not %j", (text) => {
		expect(parsed(`--fd=${text}`)).toBe(`expected N=PATH with a descriptor below 1048576, not "${text}".`);
	});
});

it("a list has its members in their order", () => {
	expect(parsed("--search", "/b", "--search", "/a")).toEqual({ search: ["/b", "/a"] });
});

it.each(["0", "-5", "1.5", "x", ""])("a process id is not %j", (text) => {
	expect(parsed(`--pid=${text}`)).toBe(`expected a process id, not "${text}".`);
});
