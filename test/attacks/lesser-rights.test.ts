import { spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	existsSync,
	lchownSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { soon } from "../support/lives/living.ts";
import { hasGcc, hasTool, need } from "../support/tools.ts";
import { openStage, SECRET, type Stage, type Target, UID } from "./stage.ts";

/*
 * Those who have not all of root's rights, and those whom the kernel keeps from nothing, attacked by another user. The program as it
 * is run: it waits before its first message to its agent, and before the last that names the file (the plan: all has been judged
 * by then), until the user has put a link to a secret of theirs in the file's place.
 */

const able = need("root, gcc and setpriv", process.getuid?.() === 0 && hasGcc() && hasTool("setpriv"));
const needs = able ? "" : " (needs root, gcc and setpriv)";

/** What Docker leaves to root (moby, oci/caps/defaults.go): no CAP_SYS_PTRACE, no CAP_SYS_ADMIN. */
const CONTAINER = [
	...["chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap"],
	...["net_bind_service", "sys_chroot", "kill", "audit_write"],
];
const contained = ["setpriv", `--bounding-set=-all,${CONTAINER.map((name) => `+${name}`).join()}`, "--inh-caps=-all"];

interface Who {
	readonly name: string;
	readonly as: readonly string[];
	/** Whose process it is. */
	readonly user: number;
	/** How a swap before anything is judged is answered. */
	readonly before: RegExp;
	readonly options: readonly string[];
}

const astray = /is reached by a link of user 1000's/;
const closed = /may not be (?:used by uid 1000 \(EACCES\)|opened by uid 1000, as whom it is raised)/;
const ordinary = ["setpriv", "--reuid=1001", "--regid=1001", "--clear-groups"];
const whos: readonly Who[] = [
	{ name: "root, of its own", as: [], user: 0, before: astray, options: [] },
	{
		...{ name: "root with a container's capabilities, of the user's", as: contained, user: UID },
		...{ before: closed, options: ["--no-ptrace"] },
	},
	{
		...{ name: "an ordinary user, of his own", as: ordinary, user: 1001 },
		...{ before: astray, options: [] },
	},
	{
		...{ name: "an ordinary user, of his own, without ptrace", as: ordinary, user: 1001 },
		...{ before: astray, options: ["--no-ptrace"] },
	},
];

/** A path that is in every plan, and in nothing else that is sent to an agent. */
const IN_PLANS = "/proc/self/oom_score_adj";

const strike = resolve(import.meta.dirname, "../support/faults/strike-message.mjs");
const targets: readonly Target[] = ["log", "data", "d", "prog"];

describe.skipIf(!able).each(whos)(`a process comes back by $name${needs}`, (who) => {
	let stage: Stage;
	let [main, images, rooted, core, gate, pidfile] = ["", "", "", "", "", ""];
	beforeAll(async () => {
		main = join(built(), "cli/main.js");
		stage = openStage(who.user);
		images = await stage.dumped();
		rooted = await stage.rooted(images);
		core = await stage.coreOf(images);
		if (who.user !== 0) stage.give(core, who.user);
		if (who.user === 1001) for (const path of [images, rooted]) stage.give(path, who.user);
		const own = join(stage.directory, "own");
		mkdirSync(own);
		chmodSync(own, 0o777);
		[gate, pidfile] = [join(own, "gate"), join(own, "pid")];
	});
	afterAll(() => stage.close());

	const verbs: Readonly<Record<string, (images: string) => readonly string[]>> = {
		restore: (images) => ["restore", "-v0", "-s", "-i", images],
		// of root's own that is for those who trust it
		...(who.user === 0 ? {} : { raise: (images) => ["raise", "-q", "-i", images, core] }),
	};

	async function run(
		verb: string,
		attack?: { readonly at: number; readonly strike: () => void; readonly target?: Target },
	): Promise<{ readonly status: number | null; readonly stderr: string; readonly attacked: boolean }> {
		rmSync(pidfile, { force: true });
		const [command = "", ...args] = [
			...[
				...who.as,
				process.execPath,
				"--import",
				strike,
				main,
				...(verbs[verb]?.(attack?.target === "r" ? rooted : images) ?? []),
			],
			...["--fresh-ids", "--pidfile", pidfile, ...who.options],
		];
		const env = attack === undefined ? {} : { STRIKE_GATE: gate, STRIKE_AT: `${attack.at}`, STRIKE_TEXT: IN_PLANS };
		const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
		let stderr = "";
		child.stderr.on("data", (bytes: Buffer) => {
			stderr += bytes;
		});
		const status = new Promise<number | null>((done) => child.once("close", done));
		let over = false;
		void status.then(() => {
			over = true;
		});
		let attacked = false;
		if (attack !== undefined) {
			while (!over && !attacked) attacked = (await soon(() => over || existsSync(gate))) && existsSync(gate);
			if (attacked) {
				attack.strike();
				rmSync(gate);
			}
		}
		return { status: await status, stderr, attacked };
	}

	/** The process that lives, which is looked at, and ended. */
	function ended<T>(look: (pid: number) => T): T | undefined {
		if (!existsSync(pidfile)) return undefined;
		const pid = Number(readFileSync(pidfile, "utf8"));
		try {
			return look(pid);
		} finally {
			process.kill(pid, "SIGKILL");
		}
	}

	describe.each(Object.keys(verbs))("%s", (verb) => {
		it("has it all", async () => {
			expect(await run(verb)).toMatchObject({ status: 0, stderr: "" });
			const found = ended((pid) => ({
				log: readlinkSync(`/proc/${pid}/fd/3`),
				cwd: readlinkSync(`/proc/${pid}/cwd`),
				data: readFileSync(`/proc/${pid}/maps`, "latin1").includes(stage.own("data")),
				ids: /^Uid:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1],
			}));
			const ids = Array.from({ length: 4 }, () => who.user).join("\t");
			expect(found).toEqual({ log: stage.own("log"), cwd: stage.own("d"), data: true, ids });
		});

		it.each(
			[...targets, ...(who.user === 1001 ? [] : (["r"] as const))].flatMap((target) =>
				(["the first message", "the plan"] as const).map((moment) => ({ target, moment })),
			),
		)("$target swapped before $moment", async ({ target, moment }) => {
			const early = moment === "the first message";
			const at = early ? 0 : 1;
			try {
				const { status, stderr, attacked } = await run(verb, { target, at, strike: () => stage.swap(target) });
				expect(attacked).toBe(true);
				expect(ended((pid) => stage.loot(pid)) ?? []).toEqual([]);
				// what is raised for a user without the right to a directory stands in / instead
				const moved = verb === "raise" && who.user === UID && (target === "d" || target === "r");
				if (early && !moved) expect([status === 0, stderr]).toEqual([false, expect.stringMatching(who.before)]);
				else expect([status, stderr]).toEqual([0, ""]);
			} finally {
				if (existsSync(`${stage.own(target)}.away`)) stage.putBack(target);
			}
			for (const name of ["log", "data"])
				expect(readFileSync(join(stage.directory, "root", name), "utf8")).toBe(SECRET);
		});
	});

	describe("what it is made from lies in the user's directory", () => {
		/** Moves it there, for a link to root's file to come in its place; and back. */
		async function within(from: string, verb: string, what: "core" | "images", strike: (path: string) => void) {
			const home = join(stage.directory, "u", what);
			renameSync(from, home);
			const [before, back] = [
				{ core, images },
				() => renameSync(existsSync(`${home}.away`) ? `${home}.away` : home, from),
			];
			if (what === "core") core = home;
			else images = home;
			try {
				return await run(verb, { at: 0, strike: () => strike(home) });
			} finally {
				({ core, images } = before);
				if (existsSync(`${home}.away`)) rmSync(home, { force: true });
				back();
			}
		}
		const swap = (to: string) => (path: string) => {
			renameSync(path, `${path}.away`);
			symlinkSync(join(stage.directory, "root", to), path);
			lchownSync(path, UID, UID);
		};

		it.runIf("raise" in verbs)("a core that becomes a link is noticed", async () => {
			const { stderr, attacked } = await within(core, "raise", "core", swap("data"));
			expect(attacked).toBe(true);
			expect(ended((pid) => stage.loot(pid))).toBeUndefined();
			expect(stderr).toMatch(/\/core: was changed while it was read, .*\[ERR_CHANGED\]/);
		});

		it.each(Object.keys(verbs))("images that become a link are those that were opened: %s", async (verb) => {
			const { status, stderr, attacked } = await within(images, verb, "images", swap("d"));
			expect(attacked).toBe(true);
			expect(ended((pid) => stage.loot(pid))).toEqual([]);
			expect([status, stderr]).toEqual([0, ""]);
		});
	});

	it("dumped while its files are links, it tells of nobody else's; who may not trace it is told so", async () => {
		const pid = await stage.live();
		const home = join(stage.directory, `home of ${who.options.join("") || "a dump"}`);
		mkdirSync(home, { mode: 0o700 });
		if (who.user === 1001) chownSync(home, 1001, 1001);
		const out = join(home, "images");
		const child = spawn(
			who.as[0] ?? process.execPath,
			[
				...(who.as.length === 0 ? [] : [...who.as.slice(1), process.execPath]),
				...["--import", strike, main, "dump", "-R", "-q", "-t", `${pid}`, "-i", out],
			],
			{ stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, STRIKE_GATE: gate, STRIKE_AT: "0" } },
		);
		let stderr = "";
		child.stderr.on("data", (bytes: Buffer) => {
			stderr += bytes;
		});
		const status = new Promise<number | null>((done) => child.once("close", done));
		try {
			// before it has an agent
			if (who.as !== contained) expect(await soon(() => existsSync(gate))).toBe(true);
			for (const target of targets) stage.swap(target);
			rmSync(gate, { force: true });
			const ended = await status;
			if (who.as === contained) expect([ended, stderr]).toEqual([6, expect.stringContaining("CAP_SYS_PTRACE")]);
			else expect([ended, stderr]).toEqual([0, ""]);
			const names = existsSync(out) ? readdirSync(out) : [];
			expect(names.length > 0).toBe(who.as !== contained);
			for (const name of names)
				expect([name, readFileSync(join(out, name), "latin1").includes(SECRET)]).toEqual([name, false]);
			expect(readFileSync(`/proc/${pid}/status`, "latin1")).toMatch(/^TracerPid:\t0$/m);
		} finally {
			for (const target of targets) if (existsSync(`${stage.own(target)}.away`)) stage.putBack(target);
			process.kill(pid, "SIGKILL");
		}
	});

	it.runIf(who.as === contained)("and traced, it is refused by name", async () => {
		const options = who.options;
		try {
			Object.assign(who, { options: [] });
			expect(await run("restore")).toMatchObject({
				status: 6,
				stderr: expect.stringMatching(/ptrace\(PTRACE_SEIZE\) failed with EPERM, .* or do without with --no-ptrace/),
			});
			expect(ended(() => "lives")).toBeUndefined();
		} finally {
			Object.assign(who, { options });
		}
	});
});
