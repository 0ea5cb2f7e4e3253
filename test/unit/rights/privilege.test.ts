import { describe, expect, it } from "vitest";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import { type OurRights, ownerOfCore, type PrivilegeQuestion, privilegeOf } from "../../../src/rights/privilege.ts";
import { refusal } from "../../support/refusal.ts";

const root: OurRights = { uid: 0, gid: 0, capabilities: (1n << 41n) - 1n, mayBecome: () => true };
const ordinary: OurRights = {
	...{ uid: 1000, gid: 1000, capabilities: 0n },
	mayBecome: (uid, gid) => uid === 1000 && gid === 1000,
};
const ALL = (1n << 41n) - 1n;

type Ids = readonly [uid: number, gid: number];

/** A process of `ids`, whose core belongs to `core`. */
function ask(ids: Ids | undefined, core: Ids, more: Partial<PrivilegeQuestion> & { auxv?: readonly Ids[] } = {}) {
	const { auxv = [], ...rest } = more;
	const dead = {
		...(ids === undefined ? {} : { owner: { uid: ids[0], gid: ids[1] } }),
		memory: { auxv: auxv.map(([type, value]) => ({ type, value: BigInt(value) })) },
	} as unknown as PartialTask;
	const { credentials, findings } = privilegeOf({
		name: "core",
		dead,
		core: { uid: core[0], gid: core[1] },
		us: root,
		trust: false,
		primaryGroup: (uid) => (uid === 0 || uid === 1000 || uid === 33 ? uid : undefined),
		...rest,
	});
	const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid, effective, permitted, groups } = credentials;
	expect([euid, suid, fsuid]).toEqual([uid, uid, uid]);
	expect([egid, sgid, fsgid]).toEqual([gid, gid, gid]);
	expect(effective).toBe(permitted);
	expect(groups).toEqual([]);
	expect(credentials).toMatchObject({ inheritable: 0n, ambient: 0n, securebits: 0, noNewPrivileges: true });
	return {
		ids: [uid, gid],
		capable: permitted === ALL,
		powerless: permitted === 0n,
		permitted,
		said: findings.filter(({ weight }) => weight !== "note").map(({ subject, text }) => `${subject}: ${text}`),
		notes: findings.filter(({ weight }) => weight === "note").map(({ text }) => text),
	};
}

const ALWAYS = "supplementary groups and single capabilities are not in a core; no_new_privs is set";

describe("as whom a process is raised", () => {
	it("is who it was, where its core is that user's", () => {
		expect(ask([1000, 1000], [1000, 1000])).toEqual({
			ids: [1000, 1000],
			capable: false,
			powerless: true,
			permitted: 0n,
			said: [],
			notes: [ALWAYS],
		});
	});

	it("is the core's owner, where it was somebody else, be it root", () => {
		for (const was of [0, 33, 1001])
			expect(ask([was, was], [1000, 1000])).toMatchObject({
				ids: [1000, 1000],
				powerless: true,
				said: [
					`uid 1000, gid 1000: it was uid ${was}, gid ${was}, but the core is uid 1000's, and gets no more rights; --trust gives it those it had`,
				],
			});
	});

	it("is who it was, where the core is root's, with capabilities only as root", () => {
		expect(ask([1000, 1000], [0, 0])).toMatchObject({ ids: [1000, 1000], powerless: true, said: [] });
		expect(ask([33, 33], [0, 0])).toMatchObject({ ids: [33, 33], powerless: true, said: [] });
		expect(ask([0, 0], [0, 0], { trust: true })).toMatchObject({ ids: [0, 0], capable: true, said: [] });
	});

	it("is never root unless the core is trusted, whosever it is: a copy by root, and what comes through a pipe, are root's too", () => {
		const container: OurRights = { ...root, mayBecome: (uid) => uid === 0 };
		for (const us of [root, container])
			expect(refusal(() => ask([0, 0], [0, 0], { us }))).toBe(
				"ERR_UNTRUSTED core: what it holds would live as root, and nothing tells what the kernel wrote from what anybody wrote, expected a process of a user with less rights; give --trust if you know where it comes from: it then runs as root",
			);
		expect(refusal(() => ask(undefined, [0, 0]))).toMatch(/^ERR_UNTRUSTED /);
		// it would keep our own id, which is root's, where it cannot be given another
		expect(refusal(() => ask([33, 33], [33, 33], { us: { ...root, mayBecome: () => false } }))).toMatch(
			/^ERR_UNTRUSTED /,
		);
	});

	it("has the user's own group, whatever group the core names or belongs to", () => {
		expect(ask([1000, 0], [1000, 6])).toMatchObject({
			ids: [1000, 1000],
			notes: ["its group was 0; it gets the user's own", ALWAYS],
		});
		expect(ask([1000, 6], [0, 0])).toMatchObject({ ids: [1000, 1000] });
	});

	it("has its file's group, or the recorded one, where nobody knows the user", () => {
		expect(ask([4000, 1], [4000, 4001])).toMatchObject({ ids: [4000, 4001] });
		expect(ask([4000, 4001], [0, 0])).toMatchObject({ ids: [4000, 4001] });
		expect(ask([1, 1], [0, 0], { core: { uid: 4000 } })).toMatchObject({ ids: [4000, 65534] });
	});

	it("is the core's owner, where the core does not say who it was", () => {
		expect(ask(undefined, [1000, 1000])).toMatchObject({
			ids: [1000, 1000],
			said: [
				"uid 1000, gid 1000: the core does not say whose the process was, but the core is uid 1000's, and gets no more rights; --trust gives it those it had",
			],
		});
	});

	it("is who it was, if the core is trusted, whosever it is", () => {
		expect(ask([0, 0], [1000, 1000], { trust: true })).toMatchObject({ ids: [0, 0], capable: true, said: [] });
		expect(ask([33, 6], [1000, 1000], { trust: true })).toMatchObject({ ids: [33, 6], powerless: true, said: [] });
		expect(ask([1000, 1000], [0, 0], { trust: true })).toMatchObject({ ids: [1000, 1000], powerless: true });
	});

	// CAP_SYS_RESOURCE is number 24 (capabilities(7)), and containers seldom have it
	it("has the capabilities of root that we have, and notes which those are not", () => {
		const us: OurRights = { ...root, capabilities: ALL & ~(1n << 24n) };
		const { permitted, notes } = ask([0, 0], [0, 0], { us, trust: true });
		expect(permitted).toBe(ALL & ~(1n << 24n));
		expect(notes).toEqual(["of root's capabilities it has those that we have: not CAP_SYS_RESOURCE", ALWAYS]);
		// what a newer kernel knows beyond the 41 is nobody's here
		expect(ask([0, 0], [0, 0], { us: { ...root, capabilities: (1n << 64n) - 1n }, trust: true }).permitted).toBe(ALL);
		expect(ask([1000, 1000], [0, 0], { us }).notes).toEqual([ALWAYS]);
	});

	it("is us, without capabilities, where we may make nobody else", () => {
		const said = (was: number, want: number): string =>
			`uid 1000, gid 1000: it was uid ${was}, gid ${was}, but only root can make a process of uid ${want}, gid ${want}: what the core runs has the rights of whoever raises it`;
		expect(ask([1000, 1000], [1000, 1000], { us: ordinary })).toMatchObject({
			ids: [1000, 1000],
			powerless: true,
			said: [],
		});
		expect(ask([33, 33], [33, 33], { us: ordinary })).toMatchObject({
			ids: [1000, 1000],
			powerless: true,
			said: [said(33, 33)],
		});
		expect(ask([0, 0], [0, 0], { us: ordinary })).toMatchObject({
			ids: [1000, 1000],
			powerless: true,
			said: [said(0, 0)],
		});
		expect(ask([0, 0], [0, 0], { us: ordinary, trust: true })).toMatchObject({ ids: [1000, 1000], powerless: true });
		// root of a container that may not change ids
		const bound: OurRights = { ...root, mayBecome: (uid) => uid === 0 };
		expect(ask([1000, 1000], [1000, 1000], { us: bound, trust: true })).toMatchObject({ ids: [0, 0], powerless: true });
	});

	it.each<[string, readonly Ids[], boolean]>([
		["AT_SECURE", [[23, 1]], true],
		[
			"another AT_EUID",
			[
				[11, 1000],
				[12, 0],
			],
			true,
		],
		[
			"another AT_EGID",
			[
				[13, 1000],
				[14, 4],
			],
			true,
		],
		[
			"equal ids",
			[
				[11, 1000],
				[12, 1000],
				[13, 1000],
				[14, 1000],
				[23, 0],
			],
			false,
		],
	])("has the real ids only, and says so where they were not all: %s", (_, auxv, told) => {
		const { ids, said } = ask([1000, 1000], [1000, 1000], { auxv });
		expect(ids).toEqual([1000, 1000]);
		expect(said).toEqual(
			told
				? [
						"uid 1000, gid 1000: the program was set-user-ID or the like; its effective ids are not in a core, it has the real ones only",
					]
				: [],
		);
	});
});

describe("whose a core is", () => {
	const boot = "0123456789abcdef0123456789abcdef";
	it.each([
		[`core.prog.1000.${boot}.77.1700000000000000`, 0, { uid: 1000 }],
		[`core.prog.1000.${boot}.77.1700000000000000.zst`, 0, { uid: 1000 }],
		[`core.a.33.${boot}.1.2.x.1000.${boot}.77.1700000000000000.lz4`, 0, { uid: 1000 }],
		[`core.prog.0.${boot}.77.1700000000000000.zst`, 0, { uid: 0, gid: 5 }],
		// only root's name for it counts, and it takes rights, never gives them
		[`core.prog.0.${boot}.77.1700000000000000.zst`, 1000, { uid: 1000, gid: 5 }],
		[`core.prog.33.${boot}.77.1700000000000000.zst`, 1000, { uid: 1000, gid: 5 }],
		["core.prog.1000.77", 0, { uid: 0, gid: 5 }],
		["core", 0, { uid: 0, gid: 5 }],
	])("%s of uid %i", (name, uid, owner) => {
		expect(ownerOfCore(name, { uid, gid: 5 })).toEqual(owner);
	});
});
