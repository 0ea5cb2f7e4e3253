// A room of its own for processes of fixtures: mount and pid namespaces in which every process id is free and the files of a fixture
// lie where it had them. Nothing of the machine changes.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./bench/measure.mjs";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];

const first = fileURLToPath(new URL("room.sh", import.meta.url));

/**
 * Undefined where none can be made.
 *
 * @param fixture whose program and log lie in it; without one there are all programs and no log.
 */
export async function openRoom(directory, fixture) {
	const able = ["unshare", ...namespaces, "nsenter", "--version"];
	if (process.getuid() !== 0 || spawnSync(able[0], able.slice(1), { stdio: "ignore" }).status !== 0) return undefined;
	mkdirSync(directory);
	const holder = spawn("unshare", [...namespaces, "sh", first, directory], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	const over = new Promise((done) => holder.once("close", done));
	const init = await new Promise((done, fail) => {
		holder.stdout.once("data", (bytes) => done(bytes.toString().trim()));
		holder.once("close", (status) => fail(new Error(`no room: unshare ended with ${status}`)));
	});
	const root = `/proc/${init}/root`;
	const put = (from, to, mode) => {
		mkdirSync(dirname(root + to), { recursive: true });
		copyFileSync(fixtures + from, root + to);
		chmodSync(root + to, mode);
	};
	for (const program of fixture === undefined ? readdirSync(`${fixtures}bin`) : [fixture])
		put(`bin/${program}`, `/opt/victims/bin/${program}`, 0o755);
	if (fixture !== undefined) put(`${fixture}/dead.log`, `/opt/victims/run/${fixture}/log`, 0o644);
	const command = (inside) => ["nsenter", `--target=${init}`, "--mount", "--pid", "--", ...inside];
	const others = () => readdirSync(`${root}/proc`).filter((name) => Number(name) > 1);
	return {
		/** A path of it, as seen from here. */
		path: (inside) => root + inside,
		/** What runs a command in it. */
		command,
		/** The ids of all processes in it but its first. */
		others,
		/** Ends all who live in it, and waits until their memory is free again. */
		clear: async () => {
			for (const pid of others()) await run(command(["kill", "-KILL", pid])).catch(() => {});
			while (others().length > 0) await new Promise((done) => setTimeout(done, 5));
		},
		close: async () => {
			holder.stdin.end();
			await over;
		},
	};
}
