import { describe, expect, it } from "vitest";
import type { Descriptor, Files } from "../../../src/forest/files.ts";
import { type FileLock, lockText } from "../../../src/forest/locks.ts";
import { withLocksOnce } from "../../../src/forest/locks-once.ts";

const lock = (kind: FileLock["kind"], descriptor: number, more: Partial<FileLock> = {}): FileLock => ({
	...{ kind, descriptor, type: "write", start: 0n, length: 0n },
	...more,
});
const open = (number: number, id: number) => ({ number, description: { id } }) as Descriptor;
const process = (descriptors: readonly Descriptor[], locks: readonly FileLock[], more: Partial<Files> = {}) => ({
	files: { descriptors, ...(locks.length === 0 ? {} : { locks }), ...more },
});

describe("locks of several processes", () => {
	it("are with the first that has the open file, and once; a process's own stay with it", () => {
		const parent = process([open(3, 1), open(4, 1)], [lock("posix", 4)]);
		const child = process(
			[open(5, 1), open(6, 2)],
			[lock("flock", 5), lock("posix", 5), lock("ofd", 6), lock("ofd", 6)],
		);
		const late = process([open(3, 1)], [lock("flock", 3), lock("lease", 3)]);
		expect(withLocksOnce([parent, child, late]).map(({ files }) => files.locks)).toEqual([
			[lock("posix", 4), lock("flock", 3), lock("lease", 3)],
			[lock("posix", 5), lock("ofd", 6)],
			undefined,
		]);
	});

	it("are the table's where several processes have one", () => {
		const parent = process([open(3, 1)], [], { table: 7 });
		const child = process([open(3, 1)], [lock("posix", 3)], { table: 7 });
		expect(withLocksOnce([parent, child]).map(({ files }) => files.locks)).toEqual([[lock("posix", 3)], undefined]);
	});

	it("are left alone where there are none", () => {
		const all = [process([open(3, 1)], [])];
		expect(withLocksOnce(all)).toBe(all);
	});
});

it("says a lock in words", () => {
	const words = [
		lock("posix", 1, { type: "read", start: 10n, length: 10n }),
		lock("ofd", 1, { start: 5n }),
		lock("flock", 1),
		lock("lease", 1, { type: "read" }),
		lock("lease", 1, { type: "none", breaking: true }),
	].map(lockText);
	expect(words).toEqual([
		"a POSIX lock to read, of bytes 10 to 19",
		"an OFD lock to write, from byte 5 on",
		"a flock lock to write",
		"a lease to read",
		"a lease that is being broken, to nothing",
	]);
});
