import { describe, expect, it } from "vitest";
import { address, fileOffset } from "../../../../src/bytes/address.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import type { PartialTask } from "../../../../src/forest/partial-task.ts";
import { type Member, pairProcesses } from "../../../../src/understand/donor/process-pairs.ts";
import { refusal } from "../../../support/refusal.ts";

interface Ids {
	readonly pid: number;
	readonly ppid?: number;
	readonly sid?: number;
	readonly comm?: string;
	readonly argv?: string;
	readonly exe?: string;
}

const ARGUMENTS = 0x7ffd_0000_0000n;

const member = ({ pid, ppid = 1, sid = 100, comm = "server", argv = "server\0", exe = "/bin/server" }: Ids): Member => {
	const bytes = Buffer.from(argv);
	const content = { source: fromBuffer("pages", bytes), offset: fileOffset(0), length: BigInt(bytes.length) };
	return {
		identity: { pid, ppid, pgid: sid, sid, comm },
		memory: {
			executable: exe,
			files: new Map(),
			contents: [{ ...content, start: address(ARGUMENTS), available: content.length }],
			bounds: { argStart: address(ARGUMENTS), argEnd: address(ARGUMENTS + content.length) },
		} as unknown as Member["memory"],
	};
};

const dead = ({
	pid,
	ppid = 1,
	sid = 100,
	comm = "server",
	argv = "server\0",
	exe = "/bin/server",
}: Ids): PartialTask =>
	({
		...{ name: `core.${pid}`, pid, ppid, sid, pgid: sid, comm },
		memory: { executable: exe, buildIds: new Map(), stack: { kind: "found", argv: argv.split("\0").slice(0, -1) } },
	}) as unknown as PartialTask;

const pids = (members: readonly Member[]): number[] => members.map(({ identity }) => identity.pid);

/** A master, two workers that are alike, and one that logs. */
const tree = [
	member({ pid: 100 }),
	member({ pid: 101, ppid: 100 }),
	member({ pid: 102, ppid: 100 }),
	member({ pid: 103, ppid: 100, comm: "logger", argv: "server: log\0" }),
];

const paired = (...deads: readonly PartialTask[]): number[] =>
	pids(
		pairProcesses(
			deads.map((task) => ({ task })),
			tree,
			"images/pstree.img",
		),
	);

describe("which process of a donor a core belongs to", () => {
	it("is the one of its id, if that is of its program", () => {
		expect(paired(dead({ pid: 102, ppid: 100 }))).toEqual([102]);
		expect(
			paired(dead({ pid: 103, ppid: 100, comm: "logger", argv: "server: log\0" }), dead({ pid: 101, ppid: 100 })),
		).toEqual([103, 101]);
	});

	it("is the one that alone has its command line, its name, or its place", () => {
		expect(paired(dead({ pid: 700, ppid: 600, sid: 600, comm: "?", argv: "server: log\0" }))).toEqual([103]);
		expect(paired(dead({ pid: 700, ppid: 600, sid: 600, comm: "logger", argv: "else\0" }))).toEqual([103]);
		// no other leads its session
		expect(paired(dead({ pid: 600, sid: 600 }))).toEqual([100]);
	});

	it("follows from the parent, which another core tells", () => {
		const donor = [tree[0], tree[1], member({ pid: 104, ppid: 101 })].filter((one) => one !== undefined);
		const deads = [dead({ pid: 702, ppid: 701, sid: 700 }), dead({ pid: 701, ppid: 700, sid: 700 })].map((task) => ({
			task,
		}));
		expect(pids(pairProcesses([...deads, { task: dead({ pid: 700, sid: 700 }) }], donor, "images"))).toEqual([
			104, 101, 100,
		]);
	});

	it("is what the user says", () => {
		const one = { task: dead({ pid: 700, ppid: 600, sid: 600 }), donorPid: 102 };
		expect(pids(pairProcesses([one], tree, "images"))).toEqual([102]);
		// who is left over is the other
		expect(pids(pairProcesses([{ task: dead({ pid: 701, ppid: 100 }) }, one], tree, "images"))).toEqual([101, 102]);
	});

	it("is refused where nothing tells, with those that it may be", () => {
		const worker = dead({ pid: 700, ppid: 600, sid: 600 });
		expect(refusal(() => paired(worker))).toBe(
			"ERR_DONOR_AMBIGUOUS images/pstree.img: holds 2 processes that core.700 may have been (101 server, 102 server), expected one of its id, or one that alone is like it; choose one with --donor-pid",
		);
		expect(refusal(() => paired(worker, dead({ pid: 701, ppid: 600, sid: 600 })))).toMatch(
			/\(101 server, 102 server\), .*; choose with --donor-pid CORE=PID$/,
		);
		expect(refusal(() => paired(dead({ pid: 101, exe: "/bin/other" })))).toBe(
			"ERR_DONOR_MISMATCH core.101: is of /bin/other, but the donor's processes are 100 of /bin/server, 101 of /bin/server, 102 of /bin/server, 103 of /bin/server; dump a donor of the same program",
		);
	});

	it("is refused where two cores are one process", () => {
		const deads = [dead({ pid: 101, ppid: 100 }), dead({ pid: 700 })];
		expect(
			refusal(() =>
				pairProcesses(
					deads.map((task) => ({ task, donorPid: 101 })),
					tree,
					"images/pstree.img",
				),
			),
		).toBe(
			"ERR_DONOR_AMBIGUOUS images/pstree.img: its process 101 would be both core.101 and core.700, expected each core to be another process; choose with --donor-pid CORE=PID",
		);
	});
});
