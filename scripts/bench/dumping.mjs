// How fast a living process becomes images, and for how long it stands still.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { criuDump, NO_CRIU } from "./criu.mjs";
import { run, seconds } from "./measure.mjs";

const source = fileURLToPath(new URL("stopped.c", import.meta.url));

export async function dumping({ dir, at, size, cli, node, compare, memory, skip }) {
	if (spawnSync("gcc", ["--version"], { stdio: "ignore" }).status !== 0) return skip("dump", "needs gcc");
	await run(["gcc", "-O2", "-pthread", "-o", at("stopped"), source]);
	const victim = await victimOf(at, size);
	try {
		const clear = async () => {
			for (const name of ["dumped", "theirs", "copy"]) rmSync(at(name), { recursive: true, force: true });
			mkdirSync(at("theirs"));
			await run(["sync", "-f", dir]);
		};
		const again = { prepare: clear };
		const dump = (...more) => cli("dump", "-q", "-t", victim.pid, "-R", "-i", at("dumped"), ...more);

		await clear();
		await run(dump());
		await run(["mv", `${at("dumped")}/pages-1.img`, at("pages")]);
		const copy = ["dd", `if=${at("pages")}`, `of=${at("copy")}`, "bs=1M", "status=none"];
		await compare(`dump ${size} MiB`, undefined, dump(), ["dd of as much", copy], again);
		rmSync(at("pages"));
		const criu = criuDump();
		if (criu === undefined) skip("… against criu dump", NO_CRIU);
		else {
			const theirs = criu(victim.pid, at("theirs"));
			await compare(`dump ${size} MiB`, 1.2, dump(), ["criu dump", theirs], again);
			const stop = (command) => () => victim.longestStop(command);
			await compare("… its longest stop, as it sees it", 1, stop(dump()), ["criu dump", stop(theirs)], again);
		}
		await clear();
		await memory("… peak memory", 150, dump());
		await compare("… without its memory", undefined, dump("--no-pages"), node, again);
	} finally {
		await victim.end();
	}
}

/** A process of so many MiB that tells for how long it was stopped. */
async function victimOf(at, size) {
	writeFileSync(at("talk"), Buffer.alloc(4096));
	// without a terminal and without pipes: nothing of its surroundings
	const child = spawn(at("stopped"), [size, at("talk")], { stdio: "ignore", detached: true, cwd: "/" });
	const ended = new Promise((done) => child.once("exit", done));
	const talk = openSync(at("talk"), "r+");
	const word = (i) => {
		const bytes = Buffer.alloc(8);
		readSync(talk, bytes, 0, 8, 8 * i);
		return Number(bytes.readBigUInt64LE());
	};
	const watch = (whether) => writeSync(talk, Buffer.from([whether ? 1 : 0]), 0, 1, 0);
	while (word(2) === 0) {
		if (child.exitCode !== null) throw new Error(`the process to be dumped ended with ${child.exitCode}`);
		await sleep(20);
	}
	return {
		pid: child.pid,
		/** Seconds. */
		longestStop: async (command) => {
			watch(true);
			await sleep(20);
			try {
				await seconds(command);
			} finally {
				await sleep(5);
				watch(false);
				await sleep(5);
			}
			return word(1) / 1e9;
		},
		end: async () => {
			child.kill("SIGKILL");
			await ended;
			closeSync(talk);
		},
	};
}
