// The program, as a user calls it.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { command, quote } from "./screen.mjs";
import { Stop } from "./stop.mjs";

const necromancer = ({ dist, dir }, args, stdio) => {
	command(`necromancer ${args.join(" ")}`);
	const program = join(dist, "cli/main.js");
	return spawnSync(process.execPath, [program, ...args], { cwd: dir, stdio, encoding: "utf8", maxBuffer: 1 << 26 });
};

const HEAD = 10;

/** Shows the head of what `necromancer show` prints: how it died, and its threads. */
export function show(where, core) {
	const { status, stdout } = necromancer(where, ["show", core], ["ignore", "pipe", "inherit"]);
	if (status !== 0) throw new Stop(`show ended with ${status}`);
	const lines = stdout.split("\n").filter((line) => line !== "");
	const mappings = lines.findIndex((line) => line.startsWith("mappings"));
	for (const line of lines.slice(0, Math.min(HEAD, mappings))) quote(line);
	if (mappings > HEAD) quote("  ...");
	quote(lines[mappings] ?? "");
}

export function raise(where, core, pidfile) {
	const args = ["raise", core, "--run", "--pidfile", pidfile, ...(process.getuid() === 0 ? ["--trust"] : [])];
	const { status } = necromancer(where, args, ["ignore", "inherit", "inherit"]);
	if (status === 0) return;
	// 6: this host cannot, whatever the process is
	throw new Stop(`raise ended with ${status}`, status === 6 ? undefined : { victim: "sh" });
}
