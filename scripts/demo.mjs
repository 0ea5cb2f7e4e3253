// Shows a dead process turned into images, with the fixtures of this repository: npm run demo
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const root = new URL("..", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "necromancer-demo-"));

const run = (...args) => {
	console.log(`\n$ necromancer ${args.join(" ")}`);
	const { status } = spawnSync(process.execPath, [join(root, "dist/cli/main.js"), ...args], {
		cwd: dir,
		stdio: "inherit",
	});
	if (status !== 0) process.exitCode = status ?? 1;
};

try {
	writeFileSync(join(dir, "core"), gunzipSync(readFileSync(join(root, "fixtures/threads/core.gz"))));
	cpSync(join(root, "fixtures/threads/images"), join(dir, "donor"), { recursive: true });
	console.log("core:  what Linux left of a program with five threads, killed by SIGABRT");
	console.log("donor: another run of the same program, dumped alive by CRIU; other pid, other addresses, other data");
	run("show", "core");
	run("-c", "core", "-i", "donor", "-v");
	run("show", "donor");
} finally {
	rmSync(dir, { recursive: true, force: true });
}
