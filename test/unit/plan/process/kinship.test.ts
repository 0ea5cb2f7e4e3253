import { describe, expect, it } from "vitest";
import type { Zombie } from "../../../../src/forest/forest.ts";
import type { Task } from "../../../../src/forest/task.ts";
import { type Kin, kinshipOf } from "../../../../src/plan/process/kinship.ts";
import { smallTask } from "../../../support/builders/small-task.ts";
import { refusal } from "../../../support/refusal.ts";

/** @param rows `PID PARENT SESSION GROUP, …`; with `t7` for those of table 7, and `z` at the end for zombies. */
function forest(rows: string): { readonly processes: readonly Task[]; readonly zombies: readonly Zombie[] } {
	const lines = rows.split(", ").map((row) => {
		const [pid = 0, ppid = 0, sid = 0, pgid = 0] = row.split(" ").map(Number);
		const table = /t(\d+)/.exec(row)?.[1];
		const files = { descriptors: [], ...(table === undefined ? {} : { table: Number(table) }) };
		return { dead: row.endsWith("z"), files, identity: { pid, ppid, sid, pgid, comm: "small" } };
	});
	return {
		processes: lines.flatMap(({ dead, identity, files }) => (dead ? [] : [{ ...smallTask(), identity, files }])),
		zombies: lines.flatMap(({ dead, identity }) => (dead ? [{ ...identity, status: 0 }] : [])),
	};
}

/**
 * `9s(early…; late…)`: s leads a session, g a group, =7 joins group 7, ' is a child of its maker's parent, t has its maker's
 * table; z is a zombie, - stands in for somebody, and [7 8] are those whom either outlasts.
 */
const textOf = (kin: Kin): string => {
	const { pid, leadsSession, leadsGroup, joins, early, late, sibling, borrows, fate, outlasts } = kin;
	const mark = [
		...[leadsSession ? "s" : "", leadsGroup ? "g" : "", joins === undefined ? "" : `=${joins}`],
		...[sibling ? "'" : "", borrows ? "t" : "", { lives: "", zombie: "z", "stand-in": "-" }[fate.kind]],
		outlasts.length === 0 ? "" : `[${outlasts.join(" ")}]`,
	].join("");
	const children = early.length + late.length === 0 ? "" : `(${early.map(textOf)};${late.map(textOf)})`;
	return `${pid}${mark}${children}`;
};

const kin = (rows: string): string => textOf(kinshipOf(forest(rows)).root);

describe("kinship", () => {
	it("is born into sessions, and joins groups whose leaders come later", () => {
		expect(kin("5 1 5 5")).toBe("5s");
		// a shell, its pipeline of two, and a daemon
		expect(kin("5 0 5 5, 6 5 5 6, 7 5 5 6, 8 5 8 8, 9 8 8 8")).toBe("5s(;6g,7=6,8s(;9))");
		// the first is in the group of its grandchild
		expect(kin("5 0 5 5, 6 5 5 7, 7 6 5 7")).toBe("5s(;6=7(;7g))");
	});

	it("makes children of the session that a leader was born in before it leads", () => {
		expect(kin("5 0 5 5, 6 5 6 6, 7 6 5 5, 8 6 6 6")).toBe("5s(;6s(7=5;8))");
		// two leaders between a process and its session
		expect(kin("5 0 5 5, 6 5 6 6, 7 6 7 7, 8 7 5 5")).toBe("5s(;6s(7s(8=5;);))");
	});

	it("takes whoever was in the first one's session and group into its own", () => {
		expect(kin("5 0 2 3, 6 5 2 3, 7 5 2 7")).toBe("5s(;6,7g)");
	});

	it("has orphans made by the leader of their session, as children of their common parent", () => {
		expect(kin("5 0 5 5, 6 5 6 6, 7 5 6 6, 8 5 6 8")).toBe("5s(;6s(;7',8g'))");
		// that leader is dead, but not gone
		expect(kin("5 0 5 5, 7 5 6 6, 6 5 6 6 z")).toBe("5s(;6sz(;7'))");
	});

	it("has somebody stand in for leaders that are gone", () => {
		// of a session, with the group of it, and of another group in that
		expect(kin("5 0 5 5, 6 5 4 4, 7 6 4 4")).toBe("5s(;4s-[7](;6'(;7=4)))");
		expect(kin("5 0 5 5, 6 5 4 3, 7 6 4 3")).toBe("5s(;4s-(;6=3'(;7=3,3g-[6 7])))");
		// two sessions of orphans, and of those that a leader was born in one
		expect(kin("5 0 5 5, 6 5 6 6, 7 6 5 5, 8 6 4 4")).toBe("5s(;6s(7=5;4s-(;8')))");
		expect(kin("5 0 5 5, 6 5 5 4")).toBe("5s(;6=4(;4g-[6]))");
	});

	it("keeps zombies until all are in their groups", () => {
		expect(kin("5 0 5 5, 6 5 5 7, 7 5 5 7 z")).toBe("5s(;6=7,7gz[6])");
		// none of a group lives
		expect(kin("5 0 5 5, 6 5 5 4 z")).toBe("5s(;6=4z(;4g-[6]))");
	});

	it("makes one that shares a table with a sibling by that one", () => {
		expect(kin("5 0 5 5, 6 5 5 5 t1, 7 5 5 5 t1, 8 7 5 5 t1")).toBe("5s(;6(;7=5't(;8=5t)))");
	});

	it.each<[string, string]>([
		[
			"5 0 5 5, 6 5 5 5, 7 5 7 7, 8 6 7 7",
			"ERR_UNSUPPORTED process 8: is in session 7, which neither it nor process 6, its parent, can have been born in",
		],
		[
			"5 0 5 5, 6 5 5 5 t1, 7 5 5 5, 8 7 5 5 t1",
			"ERR_UNSUPPORTED descriptor table 1: is that of processes 6 and 8 (CLONE_FILES), expected one of them to be the other's parent, or both to have one",
		],
		["5 0 5 5, 6 5 5 7, 7 5 5 5", "ERR_UNSUPPORTED process 6: is in process group 7, whose leader is in group 5"],
		["5 0 5 5, 6 5 5 7, 7 5 7 7", "ERR_UNSUPPORTED process 6: is in process group 7, whose leader is in session 7"],
		[
			"5 0 5 5, 6 5 6 5",
			"ERR_TASK_UNRUNNABLE process 6: leads its session and is in process group 5, expected it to lead that too",
		],
		["5 0 5 5, 6 7 6 6", "ERR_TASK_UNRUNNABLE process 6: is a child of 7, expected one of the processes before it"],
	])("refuses %s", (rows, text) => {
		expect(refusal(() => kinshipOf(forest(rows)))).toBe(text);
	});
});
