// How fast it is, as ratios to something known in the same run: npm run bench [-- --help]
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machineOf } from "./bench/machine.mjs";
import { pairs, peakMemory, stop } from "./bench/measure.mjs";
import { patching } from "./bench/patching.mjs";
import { raising } from "./bench/raising.mjs";
import { restoring } from "./bench/restoring.mjs";
import { tableOf, verdictOf } from "./bench/table.mjs";

const HELP = `usage: npm run bench -- [--dir DIR] [--size MIB] [--runs N] [--only PART] [--json]

  --dir DIR    where inputs and outputs go, in a folder of their own (default: this checkout)
  --size MIB   what the large cores hold (default 1024); needs three times as much free
  --runs N     counted pairs for each ratio, after one to warm up (default 5)
  --only PART  patch, restore or raise
  --json       figures for programs
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/cli/main.js");
/** By the word that `--only` takes. */
const sections = { patch: patching, restore: restoring, raise: raising };
const cli = (...args) => [process.execPath, program, ...args];

async function bench(dir, size, runs, only, tell) {
	const figures = [];
	const add = (figure) => {
		tell(figure.name);
		figures.push({ ...figure, verdict: verdictOf(figure) });
	};
	const bench = {
		...{ dir, size, cli, at: (name) => join(dir, name) },
		node: ["node -e 0", [process.execPath, "-e", "0"]],
		/** The ratio of wall times of a command and another, which may be a function that tells seconds itself. */
		compare: async (name, aim, command, [against, other], options) => {
			const { beyond, ...figure } = await pairs(runs, command, other, options);
			add({ name, against, aim, ...figure });
			if (beyond !== undefined) add({ name: "… beyond what a small patch takes", against, ratio: beyond });
		},
		memory: async (name, aim, command, within) => add({ name, aim, peak: await peakMemory(command, within) }),
		skip: (name, why) => add({ name, against: why, skipped: true }),
	};
	for (const [name, section] of Object.entries(sections)) if (only === undefined || only === name) await section(bench);
	return figures;
}

const positive = (name, text) => {
	const value = Number(text);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} ${text}: expected a positive number`);
};

async function main() {
	const { values } = parseArgs({
		options: {
			dir: { type: "string", default: root },
			size: { type: "string", default: "1024" },
			runs: { type: "string", default: "5" },
			only: { type: "string" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) return void process.stdout.write(HELP);
	const size = positive("size", values.size);
	const runs = positive("runs", values.runs);
	const { only } = values;
	if (only !== undefined && sections[only] === undefined)
		throw new Error(`--only ${only}: expected ${Object.keys(sections).join(" or ")}`);
	const needed = 3 * size + 1024;
	const { bavail, bsize } = statfsSync(values.dir);
	const free = Math.floor((bavail * bsize) / 2 ** 20);
	if (free < needed)
		throw new Error(`${values.dir} has ${free} MiB free, ${needed} are needed; name another with --dir`);

	const dir = mkdtempSync(join(values.dir, ".necromancer-bench-"));
	const remove = () => rmSync(dir, { recursive: true, force: true });
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
		process.once(signal, () => {
			stop();
			remove();
			process.kill(process.pid, signal);
		});
	try {
		const machine = machineOf(dir);
		const started = Date.now();
		const tell = (name) =>
			values.json || process.stderr.write(`${((Date.now() - started) / 1000).toFixed(0).padStart(4)} s  ${name}\n`);
		const figures = await bench(dir, size, runs, only, tell);
		if (values.json)
			process.stdout.write(`${JSON.stringify({ schema: 1, machine, size, runs, figures }, null, "\t")}\n`);
		else {
			const { processor, processors, memory, kernel, fileSystem, device, node } = machine;
			process.stdout.write(
				`\n${processors} × ${processor}, ${Math.round(memory / 2 ** 30)} GiB; Linux ${kernel}; ${fileSystem} on ${device}; Node ${node}\n` +
					`each ratio is of wall times, ${runs} pairs in turn, caches warm; a column of medians in milliseconds\n\n${tableOf(figures)}`,
			);
		}
	} finally {
		remove();
	}
}

await main().catch((error) => {
	console.error(`bench: ${error.message}`);
	process.exitCode = 1;
});
