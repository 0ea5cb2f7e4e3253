// A process with something in its memory dies before your eyes, and goes on: npm run demo [-- --help]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { corePattern, obstacle, runDumped } from "./demo/kernel-core.mjs";
import { doubt, linesOf, watch } from "./demo/life.mjs";
import { bold, command, failure, quote, say, sizeText, step, success } from "./demo/screen.mjs";

const HELP = `usage: npm run demo [-- --own-core] [--victim node|sh] [--keep]

  --own-core       write the core ourselves, although the kernel would
  --victim WHICH   the process that dies: node (11 threads), or sh (1); default: node
  --keep           leave core and log behind, and the process alive
`;

const here = fileURLToPath(new URL("demo/", import.meta.url));
const ROUNDS = 10;

const victims = {
	node: (log) => ({
		title: "node, with a Map that grows in its memory",
		source: join(here, "victim.mjs"),
		// what io_uring holds is the kernel's, and in no core
		program: { path: process.execPath, args: [join(here, "victim.mjs"), log], env: { UV_USE_IO_URING: "0" } },
	}),
	sh: (log) => ({
		title: "a shell, with a list that grows in its memory",
		source: join(here, "victim.sh"),
		program: {
			path: "/bin/sh",
			args: [join(here, "victim.sh"), log],
			env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
		},
	}),
};

/** What is to be undone, the latest first. */
const undoings = [];

async function undo() {
	for (let last = undoings.pop(); last !== undefined; last = undoings.pop()) await last();
}

/** Why the demo could not show what it is to show; `retry` says what is worth one. */
class Stop extends Error {
	constructor(message, retry) {
		super(message);
		this.retry = retry;
	}
}

async function demo({ dist, own, victim, keep }) {
	const { runCaught } = await import(pathToFileURL(join(dist, "catch/catch.js")).href);
	const dir = mkdtempSync(join(tmpdir(), "necromancer-demo-"));
	if (!keep) undoings.push(() => rmSync(dir, { recursive: true, force: true }));
	const [log, pidfile] = [join(dir, "log"), join(dir, "pid")];
	const { title, source, program } = victims[victim](log);

	step(`A process lives: ${title}`);
	quote(readFileSync(source, "utf8").trimEnd().replaceAll("\n", "\n   | "));
	const why = own ? undefined : obstacle(dir);
	const byKernel = !own && why === undefined;
	const dying = byKernel ? runDumped(program, dir) : await runCaught(program);
	undoings.push(() => dying.close());
	say(`it has pid ${dying.pid} and writes to ${log}`);
	const lived = await watch(log, 0, ROUNDS, () => true, quote);
	if (lived < ROUNDS) throw new Stop(`${program.path} wrote ${lived} lines in ten seconds, expected ${ROUNDS}`);

	step("It dies, and leaves a core");
	if (own) say("the core is written by necromancer, as asked for");
	else if (why !== undefined) say(`core_pattern ${why}. It stays as it is: necromancer writes the core itself`);
	else say(`core_pattern is "${corePattern()}": the kernel writes the core`);
	command(`kill -ABRT ${dying.pid}`);
	const core = await killed(dying, dir, byKernel);
	await dying.close();
	const last = linesOf(log).at(-1) ?? "";
	say(`its last words: ${last}`);
	if (alive(dying.pid, log)) throw new Stop(`process ${dying.pid} is still there`);
	const { size, blocks } = statSync(core);
	say(`${core}: ${sizeText(size)}, ${sizeText(blocks * 512)} of them on the disk, the rest holes`);

	step("What the core says");
	show(dist, core);

	step("It is raised");
	const before = linesOf(log).length;
	raise(dist, core, pidfile);
	const pid = Number(readFileSync(pidfile, "utf8"));
	if (!keep)
		undoings.push(() => {
			if (alive(pid, log)) process.kill(pid, "SIGKILL");
		});

	step("It goes on");
	const after = await watch(log, before, before + ROUNDS, () => alive(pid, log), quote);
	const wrong =
		after < before + ROUNDS ? `it wrote ${after - before} lines more, expected ${ROUNDS}` : doubt(linesOf(log));
	if (wrong !== undefined) throw new Stop(wrong, { victim: "sh" });
	if (!alive(pid, log)) throw new Stop(`process ${pid} has died again`);
	success(`Dead after round ${before}, alive in round ${linesOf(log).length}: the same process, its memory as it was.`);
	if (keep) say(`pid ${pid}; core and log in ${dir}`);
}

/** Kills it by a signal, says how it ended, and gives the core's path. */
async function killed(dying, dir, byKernel) {
	if (!byKernel) {
		const core = join(dir, "core");
		const { end } = await dying.kill(constants.signals.SIGABRT, core);
		say(
			`waitpid: ${end.kind === "killed" ? `killed by signal ${end.signal} (SIGABRT)` : `ended otherwise (${end.kind})`}`,
		);
		return core;
	}
	const cores = await dying.kill("SIGABRT");
	const { signal } = await dying.end;
	say(`waitpid: killed by ${signal}`);
	const [core] = cores;
	if (core === undefined) throw new Stop("the kernel wrote no core after all", { own: true });
	undoings.push(() => rmSync(core, { force: true }));
	return core;
}

/** Whether a process is the one with that log, and no zombie. */
function alive(pid, log) {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(log);
	} catch {
		return false;
	}
}

const cli = (dist, args, stdio) =>
	spawnSync(process.execPath, [join(dist, "cli/main.js"), ...args], { stdio, encoding: "utf8", maxBuffer: 1 << 26 });

/** The head of what `necromancer show` prints: how it died, and its threads. */
function show(dist, core) {
	command(`necromancer show ${core}`);
	const { status, stdout } = cli(dist, ["show", core], ["ignore", "pipe", "inherit"]);
	if (status !== 0) throw new Stop(`show ended with ${status}`);
	const lines = stdout.split("\n");
	const head = lines.slice(0, lines.findIndex((line) => line.startsWith("mappings")) + 1).filter((line) => line !== "");
	for (const line of [...head.slice(0, 10), ...(head.length > 11 ? ["  ..."] : []), ...head.slice(10).slice(-1)])
		quote(line);
}

function raise(dist, core, pidfile) {
	const args = ["raise", core, "--run", "--pidfile", pidfile];
	command(`necromancer ${args.join(" ")}`);
	const { status } = cli(dist, args, ["ignore", "inherit", "inherit"]);
	if (status === 0) return;
	// 6: this host cannot, whatever the process is
	throw new Stop(`raise ended with ${status}`, status === 6 ? undefined : { victim: "sh" });
}

/** The demo, and once more in another way where that may help. */
async function run(options) {
	for (let attempt = options; ; ) {
		try {
			return await demo(attempt);
		} catch (error) {
			if (!(error instanceof Stop) && error?.name !== "NecromancerError") throw error;
			failure(error.message);
			const next = { ...attempt, ...error.retry };
			if (next.own === attempt.own && next.victim === attempt.victim) {
				process.exitCode = 1;
				return;
			}
			say(`once more, ${next.victim === attempt.victim ? "with a core of our own" : "with a simpler process"}`);
			attempt = next;
		} finally {
			await undo();
		}
	}
}

const { values } = parseArgs({
	options: {
		help: { type: "boolean", short: "h" },
		"own-core": { type: "boolean", default: false },
		victim: { type: "string", default: "node" },
		keep: { type: "boolean", default: false },
		dist: { type: "string", default: fileURLToPath(new URL("../dist", import.meta.url)) },
	},
});
if (values.help || victims[values.victim] === undefined) {
	(values.help ? process.stdout : process.stderr).write(HELP);
	if (!values.help) process.exitCode = 2;
} else {
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
		process.once(signal, () => undo().finally(() => process.kill(process.pid, signal)));
	process.stdout.write(`${bold("necromancer: from a core back to life.")} No setting of this machine is changed.\n`);
	await run({ dist: resolve(values.dist), own: values["own-core"], victim: values.victim, keep: values.keep });
}
