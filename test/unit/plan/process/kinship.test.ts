import { describe, expect, it } from "vitest";
import type { Task } from "../../../../src/forest/task.ts";
import { type Kin, kinshipOf } from "../../../../src/plan/process/kinship.ts";
import { smallTask } from "../../../support/builders/small-task.ts";
import { refusal } from "../../../support/refusal.ts";

/** @param rows `PID PARENT SESSION GROUP, …` */
const forest = (rows: string): { readonly processes: readonly Task[] } => ({
	processes: rows.split(", ").map((row) => {
		const [pid = 0, ppid = 0, sid = 0, pgid = 0] = row.split(" ").map(Number);
		return { ...smallTask(), identity: { pid, ppid, sid, pgid, comm: "small" } };
	}),
});

/** `9s(early…; late…)`: s leads a session, g a group, =7 joins group 7. */
const textOf = ({ pid, leadsSession, leadsGroup, joins, early, late }: Kin): string => {
	const mark = `${leadsSession ? "s" : ""}${leadsGroup ? "g" : ""}${joins === undefined ? "" : `=${joins}`}`;
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

	it.each<[string, string]>([
		["5 0 5 5, 6 5 4 4", "ERR_UNSUPPORTED process 6: is in session 4, whose leader is not above process 5, its parent"],
		[
			"5 0 5 5, 6 5 5 5, 7 5 7 7, 8 6 7 7",
			"ERR_UNSUPPORTED process 8: is in session 7, which neither it nor process 6, its parent, can have been born in",
		],
		[
			"5 0 5 5, 6 5 6 6, 7 6 5 5, 8 6 4 4",
			"ERR_UNSUPPORTED process 6: is in session 6, and has children of two others, 5 and 4: it was born in one",
		],
		["5 0 5 5, 6 5 5 4", "ERR_UNSUPPORTED process 6: is in process group 4, whose leader is not among the processes"],
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
