// Start-up, and how fast cores are patched into donors.
import { cpSync, rmSync, unlinkSync } from "node:fs";
import { donorOf, writeLargeCore, writeManyMappings, writeSmallCore } from "./cores.mjs";
import { run } from "./measure.mjs";

const donor = donorOf("counter");

export async function patching({ dir, at, size, cli, node, compare, memory }) {
	const clear = () => {
		for (const name of ["out", "donor", "copy"]) rmSync(at(name), { recursive: true, force: true });
	};
	/** Removes what the run before wrote, and waits until nothing is on its way to the disk. */
	const settle = async () => {
		clear();
		cpSync(donor, at("donor"), { recursive: true });
		await run(["sync", "-f", dir]);
	};
	const peak = async (name, aim, command) => {
		clear();
		await memory(name, aim, command);
	};
	const patch = (core, ...more) => cli("-q", "--trust", "-c", at(core), "-i", donor, ...more);

	writeSmallCore(at("small"));
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
			await compare("… in place", aim, cli("-q", "--trust", "-c", at("core"), "-i", at("donor")), copy, fresh);
		await peak("… peak memory", 150, elsewhere);
		unlinkSync(at("core"));
	}
	// cp asks the kernel where the holes are, and so do we: what is left is the start
	writeLargeCore(at("core"), size << 20, "hole");
	await compare(`patch ${size} MiB: a hole on the disk`, 3, elsewhere, node, fresh);
	unlinkSync(at("core"));

	// what grows with the square of their number shows as 16
	writeManyMappings(at("many"), 60_000);
	writeManyMappings(at("few"), 15_000);
	const [many, few] = ["many", "few"].map((core) => patch(core, "-o", at("out")));
	await compare("patch 60,000 mappings", 5, many, ["15,000", few], fresh);
	await peak("… peak memory", undefined, many);
	await compare("show 60,000 mappings", 5, cli("show", at("many")), ["15,000", cli("show", at("few"))]);
	clear();
}

/** What makes cp copy where the file system could share blocks instead, which takes no time. */
const withoutClones = async (at) =>
	await run(["cp", "--reflink=always", at("small"), at("clone")]).then(
		() => ["--reflink=never"],
		() => [],
	);
