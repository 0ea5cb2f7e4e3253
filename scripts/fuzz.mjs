// Changes cores, images and ELF objects at random and looks what becomes of them: `npm run fuzz -- --seconds 60 --seed 7`.
// Whatever is no answer and no refusal is kept in test/fuzz-corpus, where test/laws/fuzz-corpus.test.ts judges it ever after.
// --input N judges that one input of a seed again.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
	options: { seconds: { type: "string" }, seed: { type: "string" }, input: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000_007);
const seconds = Number(values.seconds ?? Number.POSITIVE_INFINITY);
const first = Number(values.input ?? 0);
const corpus = join(root, "test/fuzz-corpus");
mkdirSync(corpus, { recursive: true });

const folder = mkdtempSync(join(tmpdir(), "necromancer-fuzzer-"));
const file = join(folder, "fuzz.mjs");
await build({
	entryPoints: [join(root, "test/fuzz/fuzz.ts")],
	bundle: true,
	platform: "node",
	target: "node20",
	format: "esm",
	define: { "import.meta.url": JSON.stringify(new URL("test/support/builders/fuzz.ts", `file://${root}/`).href) },
	banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(process.cwd() + "/");' },
	outfile: file,
	logLevel: "error",
});

const at = new Int32Array(new SharedArrayBuffer(4));
console.log(`seed ${seed}`);
const started = performance.now();
const finds = [];
let last = { input: -1, since: started };
let done;
const worker = new Worker(file, {
	workerData: {
		...{ seed, first, corpus, at },
		inputs: values.input === undefined ? Number.MAX_SAFE_INTEGER : 1,
		milliseconds: seconds * 1000,
	},
	resourceLimits: { maxOldGenerationSizeMb: 1024 },
});
const watch = setInterval(() => {
	const input = Atomics.load(at, 0);
	if (input !== last.input) last = { input, since: performance.now() };
	else if (performance.now() - last.since > 60_000) {
		finds.push({ input, name: "", find: "hangs" });
		void worker.terminate();
	}
}, 1000);
worker.on("message", (message) => {
	if (message.done !== undefined) done = message.done;
	else {
		finds.push(message);
		console.log(`input ${message.input}: ${message.name}\n${message.find}\n`);
	}
});
worker.on("error", (error) => finds.push({ input: Atomics.load(at, 0), name: "", find: String(error) }));
worker.on("exit", () => {
	clearInterval(watch);
	rmSync(folder, { recursive: true, force: true });
	const minutes = (performance.now() - started) / 60_000;
	const inputs = done ?? Atomics.load(at, 0) - first;
	console.log(`${inputs} inputs, ${Math.round(inputs / minutes)} a minute, ${finds.length} finds (seed ${seed})`);
	for (const { input, find, name } of finds)
		if (name === "") console.log(`input ${input}: ${find}; again with --seed ${seed} --input ${input}`);
	process.exitCode = finds.length > 0 || inputs === 0 ? 1 : 0;
});
