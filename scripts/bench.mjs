// How fast it is, as ratios to something known in the same run: npm run bench [-- --help]
import { cpSync, mkdtempSync, rmSync, statfsSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { donorOf, writeLargeCore, writeManyMappings, writeSmallCore } from "./bench/cores.mjs";
import { machineOf } from "./bench/machine.mjs";
import { pairs, peakMemory, run, stop } from "./bench/measure.mjs";
import { tableOf, verdictOf } from "./bench/table.mjs";

const HELP = `usage: npm run bench -- [--dir DIR] [--size MIB] [--runs N] [--json]

  --dir DIR    where inputs and outputs go, in a folder of their own (default: this checkout)
  --size MIB   what the large cores hold (default 1024); needs three times as much free
  --runs N     counted pairs for each ratio, after one to warm up (default 5)
  --json       figures for programs
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/cli/main.js");
const donor = donorOf("counter");
const cli = (...args) => [process.execPath, program, ...args];

async function bench(dir, size, runs, tell) {
	const at = (name) => join(dir, name);
	const figures = [];
	const add = (figure) => {
		tell(figure.name);
		figures.push({ ...figure, verdict: verdictOf(figure) });
	};
	const clear = () => {
		for (const name of ["out", "donor", "copy"]) rmSync(at(name), { recursive: true, force: true });
	};
	/** Removes what the run before wrote, and waits until nothing is on its way to the disk. */
	const settle = async () => {
		clear();
		cpSync(donor, at("donor"), { recursive: true });
		await run(["sync", "-f", dir]);
	};
	const compare = async (name, aim, command, [against, other], options) => {
		const { beyond, ...figure } = await pairs(runs, command, other, options);
		add({ name, against, aim, ...figure });
		if (beyond !== undefined) add({ name: "… beyond what a small patch takes", against, ratio: beyond });
	};
	const memory = async (name, aim, command) => {
		clear();
		add({ name, aim, peak: await peakMemory(command) });
	};
	const patch = (core, ...more) => cli("-q", "-c", at(core), "-i", donor, ...more);

	writeSmallCore(at("small"));
	const node = ["node -e 0", [process.execPath, "-e", "0"]];
	await compare("necromancer --version", 2, cli("--version"), node);
	await compare("show a small core", 4, cli("show", at("small")), node);
	await compare("check a small patch", 4, patch("small", "--check"), node);

	const copy = ["cp of the core", ["cp", ...(await withoutClones(at)), at("core"), at("copy")]];
	const elsewhere = patch("core", "-o", at("out"));
	const start = patch("small", "-o", at("out"));
	const fresh = { prepare: settle };
	for (const [content, words, aim] of [
		["random", "random data", 1],
		["zero", "1% random, zeros", 0.75],
		// cp asks the kernel where the holes are and skips them; Node cannot ask
		["hole", "a hole on the disk"],
	]) {
		writeLargeCore(at("core"), size << 20, content);
		await compare(
			`patch ${size} MiB: ${words}`,
			aim,
			elsewhere,
			copy,
			content === "random" ? { ...fresh, start } : fresh,
		);
		if (content === "random")
			await compare("… in place", aim, cli("-q", "-c", at("core"), "-i", at("donor")), copy, fresh);
		await memory("… peak memory", 150, elsewhere);
		unlinkSync(at("core"));
	}

	// what grows with the square of their number shows as 16
	writeManyMappings(at("many"), 60_000);
	writeManyMappings(at("few"), 15_000);
	const [many, few] = ["many", "few"].map((core) => patch(core, "-o", at("out")));
	await compare("patch 60,000 mappings", 5, many, ["15,000", few], fresh);
	await memory("… peak memory", undefined, many);
	await compare("show 60,000 mappings", 5, cli("show", at("many")), ["15,000", cli("show", at("few"))]);
	return figures;
}

/** What makes cp copy where the file system could share blocks instead, which takes no time. */
const withoutClones = async (at) =>
	await run(["cp", "--reflink=always", at("small"), at("clone")]).then(
		() => ["--reflink=never"],
		() => [],
	);

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
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) return void process.stdout.write(HELP);
	const size = positive("size", values.size);
	const runs = positive("runs", values.runs);
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
		const figures = await bench(dir, size, runs, tell);
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
