import { describe, expect, it } from "vitest";
import type { Task } from "../../../src/forest/task.ts";
import { placeGhosts } from "../../../src/restore/ghosts.ts";

const taskWith = (paths: readonly string[]): Task =>
	({
		files: {
			descriptors: paths.map((path, id) => ({
				...{ number: id, closeOnExec: false },
				description: { kind: "file", id, flags: 0, path, position: 0n, unlinked: true, ghost: id },
			})),
		},
		memory: {
			mappings: [],
			ghosts: paths.map((path, id) => ({ id, path, mode: 0o100600, uid: 0, gid: 0, size: 0n, contents: [] })),
		},
	}) as unknown as Task;

const plain = { fds: new Map<number, string>(), missing: "error" as const };

describe("places for files without names", () => {
	it("are where they were, if that will do", () => {
		const asked: string[] = [];
		const takes = (directory: string): boolean => asked.push(directory) > 0;
		expect(placeGhosts(taskWith(["/var/log/a", "/b"]), plain, takes)).toBe(plain);
		expect(asked).toEqual(["/var/log", "/"]);
	});

	it("are directories for temporary files otherwise, and left to fail where there is none", () => {
		const takes = (directory: string): boolean => directory === "/var/tmp" || directory === "/good";
		expect(placeGhosts(taskWith(["/gone/a", "/good/b"]), plain, takes).ghosts).toEqual(new Map([[0, "/var/tmp"]]));
		expect(placeGhosts(taskWith(["/gone/a"]), plain, () => false)).toBe(plain);
	});

	it("are not looked for where nothing shows the file", () => {
		const policy = { ...plain, fds: new Map([[0, "/other"]]) };
		expect(placeGhosts(taskWith(["/gone/a"]), policy, () => expect.fail("looked"))).toBe(policy);
	});
});
