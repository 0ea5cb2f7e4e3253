// How fast a core becomes a living process.
import { rmSync } from "node:fs";
import { openRoom } from "../room.mjs";
import { donorOf, writeLargeCore } from "./cores.mjs";
import { criuRestore, NO_CRIU } from "./criu.mjs";
import { run } from "./measure.mjs";

const FIXTURE = "counter-static";

export async function raising({ at, size, cli, node, compare, memory, skip }) {
	const room = await openRoom(at("raised"), FIXTURE);
	if (room === undefined) return skip("raise", "needs root, unshare and nsenter");
	try {
		const inside = ([name, command]) => [name, room.command(command)];
		const raise = (core, ...more) => room.command(cli("raise", "--trust", "-q", at(core), ...more));
		const again = { prepare: () => room.clear() };
		writeLargeCore(at("tiny"), 1 << 20, "hole", FIXTURE);
		writeLargeCore(at("core"), size << 20, "random", FIXTURE);
		writeLargeCore(at("sparse"), size << 23, "hole", FIXTURE);

		await compare("raise a small core", undefined, raise("tiny"), inside(node), again);
		const lazily = raise("core", "--lazy");
		await compare(`raise ${size} MiB lazily`, 5, lazily, inside(node), again);
		await compare(
			`raise ${8 * size} MiB, a hole, lazily`,
			1.2,
			raise("sparse", "--lazy"),
			[`${size} MiB`, lazily],
			again,
		);
		await compare(`raise ${8 * size} MiB, a hole, eagerly`, 5, raise("sparse"), inside(node), again);
		const cat = ["cat of the core", ["sh", "-c", 'exec cat "$1" >/dev/null', "sh", at("core")]];
		await compare(`raise ${size} MiB eagerly`, undefined, raise("core"), cat, again);
		const criu = criuRestore();
		if (criu === undefined) skip("… against criu restore", NO_CRIU);
		else {
			await run(cli("-q", "--trust", "-c", at("core"), "-i", donorOf(FIXTURE), "-o", at("images")));
			const theirs = ["criu restore", room.command(criu(at("images")))];
			await compare(`raise ${size} MiB eagerly`, undefined, raise("core"), theirs, again);
			rmSync(at("images"), { recursive: true });
		}
		await room.clear();
		await memory("… peak memory", 150, cli("raise", "--trust", "-q", at("core")), room.command);
	} finally {
		await room.close();
	}
}
