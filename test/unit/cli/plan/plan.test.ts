import { describe, expect, it } from "vitest";
import { planJson } from "../../../../src/cli/plan/json.ts";
import { planText } from "../../../../src/cli/plan/text.ts";
import { openTerminal } from "../../../../src/cli/terminal.ts";
import { loss } from "../../../../src/finding.ts";
import type { PartDraft } from "../../../../src/plan/part.ts";
import { cellDatum, pathDatum, spaceDatum } from "../../../../src/program/data.ts";
import { planOf } from "../../../support/builders/plan-builder.ts";

const silent = { write: () => {} };
const { paint } = openTerminal({ stdout: silent, stderr: silent, env: {} });

const text = (write: (draft: PartDraft) => void, verbose = false): string => planText(planOf(write), paint, verbose);

describe("a plan as text", () => {
	it("has a heading for each stage and each list, numbers, and reasons in a column", () => {
		expect(
			text((draft) => {
				const leader = draft.list("leader");
				leader.add("identity", "setsid", [], "leads its session", { expect: { exactly: 5739n } });
				leader.add("identity", "prctl", [1n, 9n], "dies with the restorer");
				leader.add("credentials", "umask", [0o22n], "permissions", { expect: "anything" });
				draft.list("thread 5741").add("leave", "leave", [spaceDatum("frame", 8)], "where it was");
				draft.report(loss("replaced", "descriptor 3", "was a socket"));
			}),
		).toBe(
			`pid 5739: 1 thread, 4 steps, made from 0x200000000000-0x200000100000

identity (2)
  1  setsid() = 5739                             # leads its session
  2  prctl(PR_SET_PDEATHSIG, SIGKILL) = success  # dies with the restorer

credentials (1)
  3  umask(022) = anything  # permissions

thread 5741 (1)
  4  leave(&[frame]) = success  # where it was

findings (1)
  loss  descriptor 3  was a socket
`,
		);
	});

	it("has all processes of a tree, each with its stages", () => {
		const plan = planOf((draft) => {
			draft.list("leader").add("children", "gettid", [], "makes it");
			draft.list("process 5742").add("identity", "setsid", [], "leads its session");
			draft.list("process 5742").add("leave", "gettid", [], "is complete");
			draft.list("thread 5743").add("leave", "gettid", [], "is complete");
		});
		const other = { pid: 5742, ppid: 5739, sid: 5742, pgid: 5742, tids: [5742, 5743], views: [] };
		const tree = { ...plan, others: [other] };
		expect(planText(tree, paint, false)).toBe(
			`pids 5739, 5742: 3 threads, 4 steps, made from 0x200000000000-0x200000100000

children (1)
  1  gettid() = success  # makes it

process 5742: identity (1)
  2  setsid() = success  # leads its session

process 5742: leave (1)
  3  gettid() = success  # is complete

thread 5743 (1)
  4  gettid() = success  # is complete
`,
		);
		const { views: _views, ...told } = other;
		expect(planJson(tree)).toMatchObject({ pid: 5739, others: [told] });
	});

	it("lets no name steer the terminal", () => {
		const shown = text((draft) => {
			const path = pathDatum("path of \u001b[2J", "/tmp/\u001b[31m\u202e\n");
			draft.list("leader").add("files", "openat", [-100n, path, 0n], "open \u009b");
			draft.list("thread \u0007").add("files", "close", [path], "close");
		});
		expect(shown).toContain('openat(AT_FDCWD, "/tmp/\\x1b[31m\\u{202e}\\x0a", O_RDONLY) = success  # open \\x9b');
		expect(shown).toContain("close(&[path of \\x1b[2J]) = success");
		// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
		expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
	});

	it("folds long stages and many threads", () => {
		const write = (draft: PartDraft): void => {
			for (let i = 0; i < 60; i++) draft.list("leader").add("map", "munmap", [BigInt(i), 4096n], "gone");
			for (let i = 0; i < 60; i++) draft.list(`thread ${i}`).add("leave", "gettid", [], "is complete");
		};
		const folded = text(write);
		expect(folded).toContain("\n  … 20 more (-v shows them)\n");
		expect(folded).toContain("\n… 20 more lists (-v shows them)\n\nthread 52 (1)\n");
		expect(folded).not.toContain("thread 40 ");
		const whole = text(write, true);
		expect(whole).not.toContain("(-v shows them)");
		expect(whole.match(/^ +\d+ {2}/gm)).toHaveLength(120);
	});
});

describe("a plan as JSON", () => {
	it("has words and addresses in hexadecimal, and data by index", () => {
		const json = planJson(
			planOf((draft) => {
				const cell = cellDatum("log");
				const path = pathDatum("path", "/a");
				const leader = draft.list("leader");
				leader.add("files", "openat", [-100n, path, 2n], "open", { save: cell });
				leader.add("files", "dup3", [{ valueOf: cell }, 3n, 0n], "to its number", { expect: { exactly: 3n } });
				leader.add("files", "close", [{ list: "leader" }], "a list", { expect: { successOr: 1 } });
			}),
		);
		expect(json.lists[0]).toEqual({
			name: "leader",
			address: "0x200000040018",
			steps: [
				{
					...{ id: 1, stage: "files", call: "openat", number: 257, why: "open" },
					arguments: [
						{ kind: "literal", value: "0xffffffffffffff9c" },
						{ kind: "address", data: 1, offset: 0, address: "0x200000040010" },
						{ kind: "literal", value: "0x2" },
					],
					expect: { kind: "success" },
					save: { data: 2, offset: 0, address: "0x200000040138" },
					text: 'openat(AT_FDCWD, "/a", O_RDWR) = success -> [log]',
				},
				expect.objectContaining({
					id: 2,
					arguments: [
						{ kind: "valueOf", data: 2, offset: 0, address: "0x200000040138" },
						{ kind: "literal", value: "0x3" },
						{ kind: "literal", value: "0x0" },
					],
					expect: { kind: "exactly", value: "0x3" },
					save: null,
				}),
				expect.objectContaining({
					arguments: [{ kind: "list", list: "leader", address: "0x200000040018" }],
					expect: { kind: "success-or", errno: 1 },
				}),
			],
		});
		expect(json.data[1]).toEqual({
			...{ name: "path", address: "0x200000040010", size: 3, align: 1, bytes: "2f61", pointers: [] },
		});
		expect(json).toMatchObject({ schema: 1, kind: "plan", pid: 5739, end: "0x200000041000" });
	});
});
