// How fast it is, as ratios to something known in the same run: npm run bench [-- --help]
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { dumping } from "./bench/dumping.mjs";
import { figuresOf } from "./bench/figures.mjs";
import { machineOf } from "./bench/machine.mjs";
import { stop } from "./bench/measure.mjs";
import { patching } from "./bench/patching.mjs";
import { raising } from "./bench/raising.mjs";
import { restoring } from "./bench/restoring.mjs";
import { tableOf } from "./bench/table.mjs";

const HELP = `usage: npm run bench -- [--dir DIR] [--size MIB] [--runs N] [--only PART] [--quick] [--json]

  --dir DIR    where inputs and outputs go, in a folder of their own (default: this checkout)
  --size MIB   what the large cores hold (default 1024); needs three times as much free
  --runs N     counted pairs for each ratio, after one to warm up (default 5, or BENCH_RUNS); 1 has no warm-up
  --only PART  patch, restore, raise or dump
  --quick      --runs 1 --size 64: whether all of it runs, not how fast
  --json       figures for programs
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/cli/main.js");
/** By the word that `--only` takes. */
const sections = { patch: patching, restore: restoring, raise: raising, dump: dumping };
const cli = (...args) => [process.execPath, program, ...args];

const positive = (name, text) => {
	const value = Number(text);
	if (Number.isInteger(value) && value > 0) return value;
	throw new Error(`--${name} ${text}: expected a positive number`);
};

async function main() {
	const { values } = parseArgs({
		options: {
			dir: { type: "string", default: root },
			size: { type: "string" },
			runs: { type: "string" },
			only: { type: "string" },
			quick: { type: "boolean", default: false },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) return void process.stdout.write(HELP);
	const { quick } = values;
	const size = positive("size", values.size ?? (quick ? "64" : "1024"));
	const runs = positive("runs", values.runs ?? (quick ? "1" : (process.env.BENCH_RUNS ?? "5")));
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
		const chosen = only === undefined ? sections : { [only]: sections[only] };
		const figures = await figuresOf(chosen, { dir, size, runs, cli, tell });
		if (values.json)
			process.stdout.write(`${JSON.stringify({ schema: 1, machine, size, runs, figures }, null, "\t")}\n`);
		else {
			const { processor, processors, memory, kernel, fileSystem, device, node } = machine;
			process.stdout.write(
				`\n${processors} × ${processor}, ${Math.round(memory / 2 ** 30)} GiB; Linux ${kernel}; ${fileSystem} on ${device}; Node ${node}.\n` +
					`Ratios of wall times, ${runs === 1 ? "one pair" : `${runs} pairs in turn`}, caches warm; medians of both in milliseconds.\n\n${tableOf(figures)}`,
			);
		}
		if (figures.some(({ verdict }) => verdict === "failed")) process.exitCode = 1;
	} finally {
		remove();
	}
}

await main().catch((error) => {
	console.error(`bench: ${error.message}`);
	process.exitCode = 1;
});
