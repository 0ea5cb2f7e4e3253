import { describe, expect, it } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { type CompileOptions, compilePlan } from "../../src/plan/compile/compile.ts";
import type { Arg } from "../../src/program/args.ts";
import type { Step } from "../../src/program/program.ts";
import { taskFromImages } from "../../src/task/from-images/from-images.ts";
import { fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { madeHost } from "../support/builders/made-host.ts";

/*
 * Whatever the process is: no step of root's opens a file by a name that somebody else chose, and none opens the images again.
 * Numbers are Linux's own.
 */

const UID = 1000;
const CAP_SYS_CHROOT = 1n << 18n;
const everything = (1n << 41n) - 1n;

interface Named {
	readonly call: string;
	readonly path: string;
	readonly user: bigint;
	readonly effective: bigint;
}

const textOf = (arg: Arg | undefined): string => {
	if (typeof arg !== "object" || !Object.hasOwn(arg, "datum")) return "";
	const { datum } = arg as { datum: { bytes: Uint8Array } };
	return Buffer.from(datum.bytes).toString("latin1");
};

/** Calls that take a name, with who makes them. */
function namedIn(steps: readonly Step[]): Named[] {
	let [user, effective] = [0n, everything];
	return steps.flatMap(({ call, args }): Named[] => {
		if (call === "setresuid" && args[1] !== -1n) user = args[1] as bigint;
		if (call === "capset") {
			const bytes = Buffer.from((args[1] as { datum: { bytes: Uint8Array } }).datum.bytes);
			effective = BigInt(bytes.readUInt32LE(0)) | (BigInt(bytes.readUInt32LE(12)) << 32n);
		}
		if (call === "openat") return [{ call, path: textOf(args[1]), user, effective }];
		return call === "chdir" || call === "chroot" ? [{ call, path: textOf(args[0]), user, effective }] : [];
	});
}

/** What the restorer opens on its own account; its own descriptors, which are open already. */
const OURS = /^\/proc\/self\/(?:oom_score_adj|coredump_filter|fd\/\d+)$|^\/dev\/zero$/;

function planned(name: string, options: Partial<CompileOptions> = {}): Named[] {
	const dir = openImageDir(fixturePath(`${name}/images`));
	try {
		const task = taskFromImages(dir);
		const ids = { uid: UID, euid: UID, suid: UID, fsuid: UID, gid: UID, egid: UID, sgid: UID, fsgid: UID };
		const none = { permitted: 0n, effective: 0n, inheritable: 0n, ambient: 0n };
		const threads = task.threads.map((it) => ({ ...it, credentials: { ...it.credentials, ...ids, ...none } }));
		const files = { ...task.files, cwd: "/home/user", root: "/home" };
		const facts = { ...madeHost(), user: { uid: 0, gid: 0, groups: [0] } };
		const plan = compilePlan({ ...task, threads, files }, facts, { fds: new Map(), missing: "null", ...options });
		return plan.lists.flatMap(({ steps }) => namedIn(steps));
	} finally {
		dir.close();
	}
}

describe.each(fixtureNames)("the plan of %s, as another user's", (name) => {
	it("opens nothing by name but as that user, without a capability", () => {
		const calls = planned(name);
		const foreign = calls.filter(({ path, call }) => !OURS.test(path) && !(call === "chdir" && path === "/"));
		expect(foreign.length).toBeGreaterThan(4);
		for (const { call, path, user, effective } of foreign)
			expect([call, path, user, effective & ~(/^ch/.test(call) ? CAP_SYS_CHROOT : 0n)]).toEqual([
				call,
				path,
				BigInt(UID),
				0n,
			]);
	});

	it("never opens its images, and stands in no directory of the caller's meanwhile", () => {
		const calls = planned(name);
		expect(calls.filter(({ path }) => path.includes("/images/"))).toEqual([]);
		const first = calls.findIndex(({ user }) => user === BigInt(UID));
		expect(calls.slice(0, first)).toContainEqual(expect.objectContaining({ call: "chdir", path: "/", user: 0n }));
	});

	it("opens what the caller named as the caller", () => {
		const named = planned(name, { fds: new Map([[3, "/srv/root-log"]]) }).filter(
			({ path }) => path === "/srv/root-log",
		);
		expect(named).toEqual([{ call: "openat", path: "/srv/root-log", user: 0n, effective: everything }]);
	});

	it("opens what is lent to the user by the descriptor that was judged", () => {
		const calls = planned(name, { lent: new Map([["/home/user", 40]]) });
		expect(calls.filter(({ path }) => path === "/home/user")).toEqual([]);
		const last = calls.find(({ call, path }) => call === "chdir" && path !== "/");
		expect(last).toMatchObject({ path: expect.stringMatching(/^\/proc\/self\/fd\/\d+$/), user: 0n });
	});
});
