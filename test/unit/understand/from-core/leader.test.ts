import { describe, expect, it } from "vitest";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { readCore } from "../../../../src/core/core.ts";
import { taskFromCore } from "../../../../src/understand/from-core/from-core.ts";
import { type BuiltCore, buildCore } from "../../../support/builders/core-builder.ts";
import { deduced, told, withGlibc } from "../../../support/builders/deduced-core.ts";
import { deadCore } from "../../../support/builders/pair.ts";

const taskOf = (core: BuiltCore) => taskFromCore(readCore(fromBuffer("core", buildCore(core))));
const dead = deadCore();
const lowest = Math.min(...dead.threads.map(({ tid }) => tid));

describe("which process it was", () => {
	it("is told by NT_PRPSINFO, without a word", () => {
		expect(taskOf(dead).doubts).toBeUndefined();
	});

	it("is told by the threads where that is missing, and said to be", () => {
		const { pid, threads, leaderEnded } = taskOf({ ...dead, process: null });
		expect([pid, threads[0]?.tid, leaderEnded]).toEqual([lowest, lowest, undefined]);
		const said = told(deduced(withGlibc({ ...dead, process: null })), "process-id");
		expect(said).toEqual([
			expect.stringMatching(
				/^caution process \d+: the core does not say which process it was \(no NT_PRPSINFO\): the /,
			),
		]);
	});

	it("is called as its program where that is missing, as far as names reach", () => {
		expect(taskOf({ ...dead, process: null }).comm).toBe("prog");
	});

	it("is that of none of its threads where the leader had ended", () => {
		const gone = { ...dead, process: { ...dead.process, pid: lowest - 1 } };
		const { task } = deduced(withGlibc(gone));
		expect(taskOf(gone).leaderEnded).toBe(true);
		expect(task.identity.pid).toBe(lowest - 1);
		expect(task.threads.map(({ tid, ended }) => [tid, ended])).toEqual([
			[lowest - 1, true],
			...task.threads.slice(1).map(({ tid }) => [tid, undefined]),
		]);
		expect(task.threads).toHaveLength(dead.threads.length + 1);
	});
});
