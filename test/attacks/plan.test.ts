import { afterAll, describe, expect, it } from "vitest";
import { type ImageDir, openImageDir } from "../../src/criu/image-dir.ts";
import type { Task } from "../../src/forest/task.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { type CompileOptions, compilePlan } from "../../src/plan/compile/compile.ts";
import { neededFiles } from "../../src/plan/files/needed-files.ts";
import { asIfOpened, type OpenedInput, sourcesOf } from "../../src/plan/inputs.ts";
import type { PlanStep } from "../../src/plan/plan.ts";
import type { Arg } from "../../src/program/args.ts";
import { fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { madeHost } from "../support/builders/made-host.ts";

/*
 * Whatever the process is: no step opens a file by a name that came from its core or its images, and what is open already is
 * opened for it as its user. Numbers are Linux's own.
 */

const UID = 1000;
const CAP_SYS_CHROOT = 1n << 18n;
const everything = (1n << 41n) - 1n;

interface Named {
	readonly call: string;
	readonly path: string;
	readonly user: bigint;
	readonly effective: bigint;
	readonly why: string;
}

const textOf = (arg: Arg | undefined): string => {
	if (typeof arg !== "object" || !Object.hasOwn(arg, "datum")) return "";
	const { datum } = arg as { datum: { bytes: Uint8Array } };
	return Buffer.from(datum.bytes).toString("latin1");
};

/** Where calls have a path, if they have one (syscalls(2)). */
const PATHS = new Map([
	...["open", "chdir", "chroot", "truncate", "chmod", "chown", "unlink", "mkdir", "readlink"].map(
		(it) => [it, 0] as const,
	),
	...["openat", "openat2", "fchdir", "unlinkat", "mkdirat", "utimensat", "faccessat2"].map((it) => [it, 1] as const),
]);

/** Calls that take a path, or lead elsewhere, with who makes them. */
function namedIn(steps: readonly PlanStep[]): Named[] {
	let [user, effective] = [0n, everything];
	return steps.flatMap(({ call, args, why }): Named[] => {
		if (call === "setresuid" && args[1] !== -1n) user = args[1] as bigint;
		if (call === "capset") {
			const bytes = Buffer.from((args[1] as { datum: { bytes: Uint8Array } }).datum.bytes);
			effective = BigInt(bytes.readUInt32LE(0)) | (BigInt(bytes.readUInt32LE(12)) << 32n);
		}
		const at = PATHS.get(call);
		return at === undefined ? [] : [{ call, path: textOf(args[at]), user, effective, why }];
	});
}

/** What the restorer opens on its own account; its own descriptors, which are open already; where it stands. */
const OURS = /^\/proc\/self\/(?:oom_score_adj|coredump_filter|timens_offsets|fd\/\d+(?:\/\.)?)$|^\/dev\/zero$|^\.?$/;
const NODE = /^\/proc\/self\/fd\/\d+$/;

const lenient = { fds: new Map<number, string>(), missing: "null" } as const;

const opened = new Set<ImageDir>();
afterAll(() => {
	for (const dir of opened) dir.close();
});

function processOf(name: string): Task {
	const dir = openImageDir(fixturePath(`${name}/images`));
	opened.add(dir);
	const task = taskFromImages(dir);
	const ids = { uid: UID, euid: UID, suid: UID, fsuid: UID, gid: UID, egid: UID, sgid: UID, fsgid: UID };
	const none = { permitted: 0n, effective: 0n, inheritable: 0n, ambient: 0n };
	const threads = task.threads.map((it) => ({ ...it, credentials: { ...it.credentials, ...ids, ...none } }));
	return { ...task, threads, files: { ...task.files, cwd: "/home/user", root: "/home" } };
}

function neededBy(task: Task): OpenedInput[] {
	return asIfOpened(neededFiles(task, lenient), sourcesOf(task));
}

function planned(name: string, options: Partial<CompileOptions> = {}, task = processOf(name)): Named[] {
	const facts = { ...madeHost(), user: { uid: 0, gid: 0, groups: [0] } };
	const plan = compilePlan(task, facts, { ...lenient, ...options });
	return plan.lists.flatMap(({ steps }) => namedIn(steps));
}

describe.each(fixtureNames)("the plan of %s, as another user's", (name) => {
	it("has no path in it but ours, in whichever list", () => {
		const calls = planned(name);
		expect(calls.length).toBeGreaterThan(4);
		expect(calls.filter(({ path }) => !OURS.test(path))).toEqual([]);
	});

	it("opens what is open already, and enters directories, as that user, without a capability", () => {
		const foreign = planned(name).filter(({ path, call }) => NODE.test(path) || call === "fchdir" || call === "chroot");
		expect(foreign.map(({ call }) => call)).toEqual(expect.arrayContaining(["openat", "fchdir", "chroot"]));
		for (const { call, path, user, effective } of foreign)
			expect([call, path, user, effective & ~(/ch/.test(call) ? CAP_SYS_CHROOT : 0n)]).toEqual([
				call,
				path,
				BigInt(UID),
				0n,
			]);
	});

	it("opens what the caller named as the caller", () => {
		const named = planned(name, { fds: new Map([[3, "/srv/root-log"]]) }).filter(({ why }) => why.includes("root-log"));
		expect(named).toMatchObject([{ call: "openat", path: NODE, user: 0n, effective: everything }]);
	});

	it("enters what is lent to the user as whoever lends it", () => {
		const task = processOf(name);
		const lent = neededBy(task).map((file) => ({ ...file, lent: file.path === "/home/user" }));
		const calls = planned(name, { opened: lent }, task).filter(({ call }) => call === "fchdir");
		expect(calls.map(({ user }) => user)).toEqual([BigInt(UID), 0n]);
	});
});
