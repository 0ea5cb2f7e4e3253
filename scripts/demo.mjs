// A process with something in its memory dies before your eyes, and goes on: npm run demo [-- --help]
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { corePattern, obstacle, runDumped } from "./demo/kernel-core.mjs";
import { doubt, linesOf, watch } from "./demo/life.mjs";
import { bold, command, failure, quote, say, sizeText, step, success } from "./demo/screen.mjs";
import { Stop } from "./demo/stop.mjs";
import { raise, show } from "./demo/verbs.mjs";
import { victims } from "./demo/victims.mjs";

const HELP = `usage: npm run demo [-- --own-core] [--victim node|sh] [--keep]

  --own-core       write the core ourselves, although the kernel would
  --victim WHICH   the process that dies: node (many threads), or sh (one); default: node
  --keep           leave core and log behind, and the process alive
`;

/** Lines that are waited for, before the death and after. */
const ROUNDS = 10;

/** What is to be undone, the latest first. */
const undoings = [];

async function undo() {
	for (let last = undoings.pop(); last !== undefined; last = undoings.pop()) await last();
}

async function demo({ dist, own, victim, keep }) {
	const dir = mkdtempSync(join(tmpdir(), "necromancer-demo-"));
	if (!keep) undoings.push(() => rmSync(dir, { recursive: true, force: true }));
	const log = join(dir, "log");
	const { title, source, program } = victims[victim](log);

	step(`A process lives: ${title}`);
	for (const line of readFileSync(source, "utf8").trimEnd().split("\n")) quote(line);
	const why = own ? undefined : obstacle();
	const byKernel = !own && why === undefined;
	const dying = byKernel ? runDumped(program, dir) : await caughtBy(dist, program, join(dir, "core"));
	undoings.push(() => dying.close());
	say(`it has pid ${dying.pid} and writes to ${log}`);
	const lived = await watch(log, 0, ROUNDS, () => true, quote);
	if (lived < ROUNDS) throw new Stop(`${program.path} wrote ${lived} lines in ten seconds, expected ${ROUNDS}`);

	step("It dies, and leaves a core");
	if (own) say("the core is written by necromancer, as asked for");
	else if (why !== undefined) say(`core_pattern ${why}. It stays as it is: necromancer writes the core itself`);
	else say(`core_pattern is "${corePattern()}": the kernel writes the core`);
	command(`kill -ABRT ${dying.pid}`);
	const { signal, core } = await dying.kill("SIGABRT");
	await dying.close();
	say(`waitpid: killed by ${signal}`);
	if (core === undefined) throw new Stop("the kernel wrote no core after all", { own: true });
	const before = linesOf(log);
	say(`its last words: ${before.at(-1)}`);
	if (alive(dying.pid, log)) throw new Stop(`process ${dying.pid} is still there`);
	const { size, blocks } = statSync(core);
	say(`${core}: ${sizeText(size)}, ${sizeText(blocks * 512)} of them on the disk, the rest holes`);

	const where = { dist, dir };
	const name = basename(core);
	step("What the core says");
	show(where, name);

	step("It is raised");
	raise(where, name, "pid");
	const pid = Number(readFileSync(join(dir, "pid"), "utf8"));
	if (!keep)
		undoings.push(() => {
			if (alive(pid, log)) process.kill(pid, "SIGKILL");
		});

	step("It goes on");
	const last = before.length + ROUNDS;
	const after = await watch(log, before.length, last, () => alive(pid, log), quote);
	const wrong = after < last ? `it wrote ${after - before.length} lines more, expected ${ROUNDS}` : doubt(linesOf(log));
	if (wrong !== undefined) throw new Stop(wrong, { victim: "sh" });
	if (!alive(pid, log)) throw new Stop(`process ${pid} has died again`, { victim: "sh" });
	const now = linesOf(log).length;
	success(`Dead after round ${before.length}, alive in round ${now}: the same process, its memory as it was.`);
	if (keep) say(`pid ${pid}; core and log in ${dir}`);
}

/** The program, watched so that we can write its core ourselves: the same shape as `runDumped` gives. */
async function caughtBy(dist, program, core) {
	const { runTraced } = await import(pathToFileURL(join(dist, "catch/catch.js")).href);
	const traced = await runTraced(program);
	return {
		pid: traced.pid,
		kill: async (signal) => {
			const { end } = await traced.kill(constants.signals[signal], core);
			const [name] = Object.entries(constants.signals).find(([, number]) => number === end.signal) ?? [end.kind];
			return { signal: name, core };
		},
		close: () => traced.close(),
	};
}

/** Whether a process is the one with that log, and no zombie. */
function alive(pid, log) {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(log);
	} catch {
		return false;
	}
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
		// another build, for tests
		dist: { type: "string", default: fileURLToPath(new URL("../dist", import.meta.url)) },
	},
});
if (values.help || !Object.hasOwn(victims, values.victim)) {
	(values.help ? process.stdout : process.stderr).write(HELP);
	if (!values.help) process.exitCode = 2;
} else {
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
		process.once(signal, () => undo().finally(() => process.kill(process.pid, signal)));
	process.stdout.write(`${bold("necromancer: from a core back to life.")} No setting of this machine is changed.\n`);
	await run({ dist: resolve(values.dist), own: values["own-core"], victim: values.victim, keep: values.keep });
}
