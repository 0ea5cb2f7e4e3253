import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isBelow, realPath, resolveInRoot } from "../../../src/rights/resolve-in-root.ts";
import { scratch } from "../../support/scratch.ts";

/** A tree with a secret beside it. */
function tree(): { root: string; outside: string } {
	const base = scratch();
	const root = join(base, "root");
	mkdirSync(join(root, "usr/lib"), { recursive: true });
	mkdirSync(join(root, "etc"));
	writeFileSync(join(root, "usr/lib/x.so"), "x");
	const outside = join(base, "secret");
	writeFileSync(outside, "secret");
	return { root, outside };
}

describe("a path in a tree", () => {
	it("is followed from the tree's root, through its own links", () => {
		const { root } = tree();
		symlinkSync("usr/lib", join(root, "lib"));
		symlinkSync("/usr/lib/x.so", join(root, "etc/absolute"));
		symlinkSync("../lib/./x.so", join(root, "etc/relative"));
		for (const path of [
			"/usr/lib/x.so",
			"usr//lib/./x.so",
			"/lib/x.so",
			"/etc/absolute",
			"/etc/relative",
			"/lib/../lib/x.so",
		])
			expect(resolveInRoot(root, path)).toMatchObject({ path: join(root, "usr/lib/x.so"), inner: "/usr/lib/x.so" });
		expect(resolveInRoot(root, "/lib/x.so")?.through).toHaveLength(2);
	});

	it("does not lead out of it, whatever is tried", () => {
		const { root, outside } = tree();
		symlinkSync(outside, join(root, "etc/absolute"));
		symlinkSync("../../secret", join(root, "etc/relative"));
		symlinkSync("..", join(root, "up"));
		symlinkSync("/..", join(root, "top"));
		for (const path of [
			"/etc/absolute",
			"/etc/relative",
			"/../secret",
			"../secret",
			"/up/secret",
			"/up/up/secret",
			"/top/secret",
		])
			expect(resolveInRoot(root, path)).toBeUndefined();
		expect(resolveInRoot(root, "/../../../usr/lib/x.so")?.inner).toBe("/usr/lib/x.so");
	});

	it("ends where links run in circles, or nothing is", () => {
		const { root } = tree();
		symlinkSync("b", join(root, "a"));
		symlinkSync("a", join(root, "b"));
		symlinkSync("self/self", join(root, "self"));
		for (const path of ["/a", "/self", "/gone", "/usr/lib/x.so/y", "/", "", `/${"n".repeat(300)}`, "/\0"])
			expect(resolveInRoot(root, path)).toBeUndefined();
	});

	it("may be of bytes that are no text", () => {
		const { root } = tree();
		writeFileSync(Buffer.concat([Buffer.from(`${root}/caf`), Buffer.of(0xe9)]), "");
		expect(resolveInRoot(root, "/caf\udce9")).toMatchObject({ path: `${root}/caf\udce9`, inner: "/caf\udce9" });
	});
});

describe("a real path", () => {
	it("has no links, and stays as it is where it cannot be had without", () => {
		const { root } = tree();
		symlinkSync("usr/lib", join(root, "lib"));
		expect(realPath(join(root, "lib/x.so"))).toBe(join(root, "usr/lib/x.so"));
		expect(realPath(join(root, "gone"))).toBe(join(root, "gone"));
	});

	it("is below what it is below", () => {
		expect(isBelow("/a", "/a/b")).toBe(true);
		expect(isBelow("/", "/a")).toBe(true);
		expect(isBelow("/a", "/ab")).toBe(false);
		expect(isBelow("/a", "/a")).toBe(false);
	});
});
