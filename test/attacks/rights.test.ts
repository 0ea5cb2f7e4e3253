import { describe, expect, it } from "vitest";
import { address } from "../../src/bytes/address.ts";
import type { FileWriters } from "../../src/bytes/source.ts";
import { forestOf } from "../../src/forest/forest.ts";
import type { Credentials, Mapping, Task } from "../../src/forest/task.ts";
import { rootOf } from "../../src/forest/whole.ts";
import { MAP } from "../../src/linux/mman.ts";
import { type ImageRightsQuestion, imageRights } from "../../src/rights/image-rights.ts";
import type { OurRights } from "../../src/rights/privilege.ts";
import { taskOfThreads, threadOf } from "../support/builders/thread-task.ts";
import { refusal } from "../support/refusal.ts";

/*
 * A user writes images that say more of a process than he could have: root's id and capabilities, other people's groups, files
 * without a name that are root's and set-user-ID, priorities. At 454f303 root's `restore` gave all of it without a word.
 */

const root: OurRights = { uid: 0, gid: 0, capabilities: (1n << 41n) - 1n, mayBecome: () => true };
const ordinary: OurRights = { uid: 1001, gid: 1001, capabilities: 0n, mayBecome: (uid) => uid === 1001 };
/** Root of a container that may not change ids. */
const bound: OurRights = { ...root, mayBecome: (uid) => uid === 0 };

const mine: FileWriters = { uid: 1000, anybody: false };
const roots: FileWriters = { uid: 0, anybody: false };

const his = {
	...{ uid: 1000, euid: 1000, suid: 1000, fsuid: 1000, gid: 1000, egid: 1000, sgid: 1000, fsgid: 1000 },
	...{ groups: [1000, 27], inheritable: 0n, permitted: 0n, effective: 0n, ambient: 0n },
};

const taskWith = (credentials: Partial<Credentials>, more: Partial<Task> = {}): Task => {
	const thread = threadOf(100);
	return { ...taskOfThreads([{ ...thread, credentials: { ...thread.credentials, ...his, ...credentials } }]), ...more };
};

const ask = (task: Task, more: Partial<ImageRightsQuestion> = {}) => {
	const { forest, findings } = imageRights(forestOf([task]), {
		...{ name: "images", writers: [mine, roots], us: root, trust: false, runs: true, limits: [] },
		...{ alone: () => false, groupsOf: (uid) => (uid === 1000 ? [1000, 27] : []) },
		...more,
	});
	return { task: rootOf(forest), findings };
};

const CLOSED =
	"gets no_new_privs, as images is uid 1000's: what it executes gains nothing by set-user-ID bits or file capabilities; --trust leaves that out";

describe("images that a user wrote", () => {
	it("give nothing to what the process executes: root directory, bounding set and securebits are his choice", () => {
		const has = (more: Partial<ImageRightsQuestion>, credentials: Partial<Credentials> = {}) => {
			const { task, findings } = ask(taskWith(credentials), more);
			return [task.threads[0]?.credentials.noNewPrivileges, findings.map(({ text }) => text)];
		};
		expect(has({})).toEqual([true, [CLOSED]]);
		expect(has({}, { noNewPrivileges: true })).toEqual([true, []]);
		expect(has({ trust: true })).toEqual([false, []]);
		expect(has({ writers: [roots] })).toEqual([false, []]);
	});

	it.each<[string, Partial<Credentials>, string]>([
		["root's id", { euid: 0 }, "uid 0"],
		["a saved id of root's", { suid: 0 }, "uid 0"],
		["another user's id", { uid: 33 }, "uid 33"],
		["a group that he is not in", { groups: [1000, 42] }, "gid 42"],
		["a group id", { sgid: 0 }, "gid 0"],
		["a capability", { permitted: 1n << 21n }, "CAP_SYS_ADMIN"],
		["one to be inherited", { inheritable: 1n << 7n }, "CAP_SETUID"],
		["all capabilities", { effective: (1n << 41n) - 1n }, "41 capabilities"],
	])("do not give %s", (_, credentials, text) => {
		expect(refusal(() => ask(taskWith(credentials)))).toBe(
			`ERR_UNTRUSTED thread 100: has ${text}, expected no more than uid 1000 has, whose images is; give --trust if you would run what they say as whom they say`,
		);
		expect(ask(taskWith(credentials), { trust: true }).task.threads[0]?.credentials).toMatchObject(credentials);
		expect(ask(taskWith(credentials), { writers: [roots] }).task.threads[0]?.credentials).toMatchObject(credentials);
	});

	it("give what is his own, but no file of root's, no priority, no protection, and no word about files", () => {
		const ghost = { id: 1, path: "/tmp/x", mode: 0o104755, uid: 0, gid: 0, size: 0n, contents: [] };
		const task = taskWith({});
		const bold: Task = {
			...task,
			identity: { ...task.identity, oomScoreAdjust: -1000 },
			threads: task.threads.map((it) => ({ ...it, scheduling: { nice: -20, policy: 1, priority: 99 } })),
			memory: { ...task.memory, objects: [], ghosts: [ghost] },
			files: { descriptors: [], identities: new Map([["/x", { device: 1n, inode: 2n, birth: 3n }]]) },
			limits: [{ soft: 10n, hard: 10n }],
		};
		const { task: given, findings } = ask(bold, { limits: [{ soft: 1n, hard: 5n }] });
		expect(given.memory.ghosts).toEqual([{ ...ghost, mode: 0o100755, uid: 1000, gid: 1000 }]);
		expect([given.identity.oomScoreAdjust, given.threads[0]?.scheduling, given.limits]).toEqual([
			0,
			{ nice: 0, policy: 0, priority: 0 },
			[{ soft: 5n, hard: 5n }],
		]);
		expect(given.files.identities).toBeUndefined();
		expect(findings.map(({ text }) => text)).toEqual([
			"had a priority that its user may not ask for; it gets the usual one",
			CLOSED,
		]);
	});

	it("lock no more memory than their user may", () => {
		const locked = (size: bigint, more: Partial<Mapping>): Mapping => ({
			...{
				start: address(0x10000n),
				end: address(0x10000n + size),
				prot: 3,
				shared: false,
				flags: MAP.LOCKED,
				advice: 0n,
			},
			...{ backing: { kind: "anonymous" }, ...more },
		});
		const { memory } = taskOfThreads([threadOf(100)]);
		const kept = (most: bigint, ...mappings: Mapping[]) => {
			const limits = Array.from({ length: 16 }, () => ({ soft: most, hard: most }));
			const { task, findings } = ask(taskWith({ noNewPrivileges: true }, { memory: { ...memory, mappings } }), {
				limits,
			});
			return [task.memory.mappings, findings.map(({ text }) => text)];
		};
		const [whole, onFault] = [
			locked(0x2000n, {}),
			locked(0x1000n, { flags: 0, attributes: { "locked-on-fault": 1n, sealed: 1n } }),
		];
		expect(kept(0x3000n, whole, onFault)).toEqual([[whole, onFault], []]);
		expect(kept(0x2fffn, whole, onFault)).toEqual([
			[
				{ ...whole, flags: 0 },
				{ ...onFault, attributes: { sealed: 1n } },
			],
			["had 12288 bytes locked, and its user may lock 12287: nothing of it is locked"],
		]);
	});

	it.each<[string, readonly FileWriters[]]>([
		["two users", [mine, { uid: 33, anybody: false }]],
		["anybody", [{ uid: 0, anybody: true }]],
		["a group", [roots, { uid: 0, group: 27, anybody: false }]],
	])("are nobody's where %s can have written them", (_, writers) => {
		expect(refusal(() => ask(taskWith({}), { writers }))).toMatch(/^ERR_UNTRUSTED images: can have been written by /);
	});

	it("are his own though his group may write them, if he is alone in it", () => {
		const writers = [{ ...mine, group: 1000 }];
		expect(ask(taskWith({}), { writers, alone: (uid, gid) => uid === 1000 && gid === 1000 }).findings).toEqual([
			expect.objectContaining({ text: CLOSED }),
		]);
	});

	it.each([
		["another user", ordinary],
		["root of a container that cannot become him", bound],
	])("do not run with the rights of %s", (_, us) => {
		expect(refusal(() => ask(taskWith({}), { us }))).toMatch(/^ERR_UNTRUSTED images: .* would have the rights of uid /);
		expect(ask(taskWith({}), { us, runs: false }).findings.filter(({ text }) => text !== CLOSED)).toEqual([]);
		expect(ask(taskWith({}), { us, trust: true }).findings).toEqual([]);
	});

	it("run for himself, whatever they say: he can give no more than he has", () => {
		const us: OurRights = { ...ordinary, uid: 1000, gid: 1000 };
		expect(ask(taskWith({ euid: 0 }), { us }).findings).toEqual([]);
	});
});
