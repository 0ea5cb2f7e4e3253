// The last step of `npm run build`: makes one file of each program that tsc compiled into dist/cli, so that it starts fast. A hundred
// modules take Node as long to find and load as the rest of a small restore takes. Beside it lies V8's bytecode of it: another
// version of Node rejects that and compiles the file as ever. The library (dist/index.js) stays as tsc made it.
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const cli = join(root, "dist/cli");

/** The files of package.json's `bin` that lie there, without `.js`. */
const programs = () =>
	Object.values(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).bin)
		.filter((path) => dirname(path) === "dist/cli")
		.map((path) => basename(path, ".js"));

/** One program with all that it imports, as CommonJS: Node loads that without a detour. */
async function bundled(name) {
	const { outputFiles, metafile } = await build({
		entryPoints: [join(cli, `${name}.js`)],
		absWorkingDir: root,
		bundle: true,
		platform: "node",
		target: "node20",
		format: "cjs",
		// V8 keeps plain ASCII in half the memory
		charset: "ascii",
		// long multiplies by WebAssembly where there is any, which takes V8 longer to set up than all we have to multiply
		define: { "import.meta.url": "__moduleUrl", WebAssembly: "undefined" },
		banner: { js: 'const __moduleUrl = require("node:url").pathToFileURL(__filename).href;' },
		legalComments: "none",
		metafile: true,
		write: false,
	});
	const text = outputFiles[0].text.replace(/^#!.*\n/, "");
	return {
		source: `(function (require, __filename) {${text}})`,
		packages: Object.keys(metafile.inputs).flatMap((path) => packageOf(path) ?? []),
	};
}

const packageOf = (path) => /^(.*\/?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];

/** Bytecode of all functions. Compiled lazily, as is the rule, it would be of next to none. */
function bytecodeOf(source, file) {
	setFlagsFromString("--no-lazy");
	const script = new Script(source, { filename: file });
	// V8 compares the flags with those of the process that loads it
	setFlagsFromString("--lazy");
	return script.createCachedData();
}

/** Whoever passes our packages on passes on what they are made of, and owes these words. */
const licences = (packages) =>
	[...new Set(packages)]
		.sort()
		.map((path) => {
			const folder = join(root, path);
			const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
			const file = readdirSync(folder).find((entry) => /^licen[cs]e(?:\.|$)/i.test(entry));
			const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8");
			return `${name} ${version} (${license})\n\n${text}`;
		})
		.join(`\n${"-".repeat(80)}\n\n`);

const start = readFileSync(new URL("bundle/start.cjs", import.meta.url), "utf8");
const names = programs().filter((name) => existsSync(join(cli, `${name}.js`)));
const all = await Promise.all(names.map(async (name) => ({ name, ...(await bundled(name)) })));
rmSync(cli, { recursive: true });
mkdirSync(cli);
for (const { name, source } of all) {
	// the name tells which bytecode belongs to which file, as V8 looks at nothing but its length
	const stem = `${name}-${createHash("sha256").update(source).digest("hex").slice(0, 12)}`;
	writeFileSync(join(cli, `${stem}.cjs`), source);
	writeFileSync(join(cli, `${stem}.bytecode`), bytecodeOf(source, join(cli, `${stem}.cjs`)));
	writeFileSync(join(cli, `${name}.js`), start.replaceAll("BUNDLE", stem));
	chmodSync(join(cli, `${name}.js`), 0o755);
}
writeFileSync(join(cli, "package.json"), '{ "type": "commonjs" }\n');
writeFileSync(join(cli, "LICENSES"), licences(all.flatMap(({ packages }) => packages)));
