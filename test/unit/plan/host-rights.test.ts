import { describe, expect, it } from "vitest";
import { caution } from "../../../src/finding.ts";
import type { Credentials, Task } from "../../../src/forest/task.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { attainable, hasCapability, mayLinkExecutable } from "../../../src/plan/host-rights.ts";
import { NOBODY, ROOT, taskOfThreads, threadOf } from "../../support/builders/thread-task.ts";
import { allCapable } from "../../support/models/model-threads.ts";
import { anyKernel, factsOf, planOfThreads, runThreads } from "../../support/models/run-threads.ts";

const EVERYTHING = (1n << 41n) - 1n;
const NOTHING = { permitted: 0n, bounding: EVERYTHING };

/** User 1000 without privileges. */
const ordinary: HostFacts = factsOf("amd", { capabilities: NOTHING, user: { uid: 1000, gid: 100, groups: [100, 27] } });
/** The same in a user namespace, where 1000 is root. */
const mapped: HostFacts = {
	...ordinary,
	capabilities: { permitted: EVERYTHING, bounding: EVERYTHING },
	userNamespace: { uid: 0, gid: 0 },
};
const root: HostFacts = factsOf("amd", {
	capabilities: { permitted: EVERYTHING, bounding: EVERYTHING },
	user: { uid: 0, gid: 0, groups: [] },
});

const lostTo = (facts: HostFacts, wanted: Credentials): readonly string[] => attainable(wanted, facts).lost;

describe("credentials that can be had", () => {
	it("are those that were, for root, and where nothing is known", () => {
		for (const facts of [root, factsOf("amd")])
			for (const wanted of [ROOT, NOBODY, { ...NOBODY, groups: [5], securebits: 1 }])
				expect(attainable(wanted, facts)).toEqual({
					...{ credentials: wanted, setsGroups: true, narrows: true, lost: [] },
				});
	});

	it("are the restorer's own for an ordinary user, and each that is lost is named", () => {
		const wanted = { ...ROOT, euid: 33, groups: [27, 4], permitted: 0x20n, effective: 0x20n, securebits: 4 };
		const { credentials, setsGroups, narrows, lost } = attainable({ ...wanted, bounding: EVERYTHING & ~1n }, ordinary);
		expect(credentials).toMatchObject({
			...{ uid: 1000, euid: 1000, suid: 1000, fsuid: 1000, gid: 100, egid: 100, sgid: 100, fsgid: 100 },
			...{ permitted: 0n, effective: 0n, securebits: 0 },
		});
		expect([setsGroups, narrows]).toEqual([false, false]);
		expect(lost).toEqual([
			"was user 0, 33, which the restorer cannot give; it is 1000 now",
			"was group 0, which the restorer cannot give; it is 100 now",
			"was in the groups 27, 4; it keeps those of the restorer, 100, 27",
			"had securebits 0x4, which need CAP_SETPCAP; it has none now",
			"could never get CAP_CHOWN; without CAP_SETPCAP it may by exec",
			"had CAP_KILL, which the restorer cannot give",
		]);
	});

	it("lose nothing where they are the restorer's own", () => {
		const own = { uid: 1000, euid: 1000, suid: 1000, fsuid: 1000, gid: 100, egid: 100, sgid: 100, fsgid: 100 };
		expect(lostTo(ordinary, { ...NOBODY, ...own, groups: [27, 100] })).toEqual([]);
	});

	it("are those of the one user of a user namespace, with all capabilities", () => {
		const wanted = { ...ROOT, permitted: EVERYTHING, effective: EVERYTHING, groups: [100, 27] };
		expect(lostTo(mapped, wanted)).toEqual([]);
		expect(lostTo(mapped, { ...wanted, suid: 7 })).toEqual(["was user 7, which the restorer cannot give; it is 0 now"]);
		expect(attainable(wanted, mapped)).toMatchObject({ setsGroups: false, narrows: true });
	});

	it("do not name forty capabilities", () => {
		expect(lostTo(ordinary, { ...ROOT, permitted: EVERYTHING }).at(-1)).toBe(
			"had 41 capabilities, which the restorer cannot give",
		);
	});

	it("have no more to pass on than what is permitted without CAP_SETPCAP", () => {
		expect(lostTo(ordinary, { ...ROOT, inheritable: 2n }).at(-1)).toBe(
			"could pass on CAP_DAC_OVERRIDE; without CAP_SETPCAP it cannot",
		);
	});
});

describe("privileges", () => {
	it("of a user namespace do not count for the whole system", () => {
		expect([
			hasCapability(mapped, 24),
			hasCapability(mapped, 24, "system"),
			hasCapability(root, 24, "system"),
			hasCapability(ordinary, 24),
		]).toEqual([...[true, false, true, false]]);
		expect([root, mapped, ordinary, factsOf("amd")].map(mayLinkExecutable)).toEqual([true, true, false, true]);
	});
});

describe("a plan for an ordinary user", () => {
	/** The model's user 1000, who has nothing. */
	const credentials = { ...allCapable(), uid: [1000, 1000, 1000], gid: [100, 100, 100], fsuid: 1000, fsgid: 100 };
	const kernel = anyKernel({
		credentials: { ...credentials, effective: 0n, permitted: 0n, groups: [100, 27] },
		hardLimit: 1024n,
	});
	const run = (task: Task, facts: HostFacts) => {
		const plan = planOfThreads(task, facts, true);
		return { plan, ...runThreads(plan, facts, kernel, { pid: 5000 }) };
	};

	it("does not fail for what was root's, and says once what all threads lose", () => {
		const thread = (tid: number) => threadOf(tid, { credentials: { ...ROOT, permitted: 1n } });
		const other = threadOf(102, { credentials: { ...ROOT, uid: 8, permitted: 1n } });
		const { failed, plan, process } = run(taskOfThreads([thread(100), thread(101), other]), ordinary);
		expect(failed).toEqual([]);
		expect(process.threads.get(5000)?.credentials.uid).toEqual([1000, 1000, 1000]);
		const lost = plan.findings.filter(({ text }) => /restorer/.test(text)).map(({ subject }) => subject);
		expect(lost).toEqual(["thread 102", "process 100", "process 100", "process 100", "process 100"]);
	});

	it("works with the few descriptors that it may have", () => {
		const limits = Array.from({ length: 16 }, () => ({ soft: 512n, hard: 1024n }));
		expect(run(taskOfThreads([threadOf(100)]), { ...ordinary, limits }).failed).toEqual([]);
	});

	it("says which priorities it cannot give", () => {
		const scheduling = { nice: -5, policy: 1, priority: 40 };
		const told = (facts: HostFacts) =>
			planOfThreads(taskOfThreads([threadOf(100, { scheduling })]), facts)
				.findings.map(({ text }) => text)
				.filter((text) => text.includes("NICE"));
		const text =
			"had niceness -5 and real-time priority 40; without CAP_SYS_NICE it runs as the restorer's limits allow";
		expect([ordinary, mapped, root].map(told)).toEqual([[text], [text], []]);
	});

	it("says whose rights a user namespace stands for", () => {
		const { findings } = planOfThreads(taskOfThreads([threadOf(100)]), mapped);
		expect(findings).toContainEqual(
			caution(
				"credentials",
				"process 100",
				"lives in a user namespace of its own, where user 0 and group 0 stand for user 1000 and group 100 outside",
			),
		);
	});
});
