// How fast a process is made from images.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openRoom } from "../room.mjs";
import { donorOf, writeLargeCore } from "./cores.mjs";
import { criuRestore, NO_CRIU } from "./criu.mjs";
import { output, run } from "./measure.mjs";

/** Statically linked: it needs no library of this machine. */
const FIXTURE = "counter-static";
const preadv = fileURLToPath(new URL("preadv.mjs", import.meta.url));

export async function restoring({ at, size, cli, node, compare, memory, skip }) {
	const room = await openRoom(at("room"), FIXTURE);
	if (room === undefined) return skip("restore", "needs root, unshare and nsenter");
	try {
		const tiny = donorOf(FIXTURE);
		writeLargeCore(at("core"), size << 20, "random", FIXTURE);
		const large = at("images");
		await run(cli("-q", "--trust", "-c", at("core"), "-i", tiny, "-o", large));
		rmSync(at("core"));

		const restore = (images) => room.command(cli("restore", "-s", "-i", images));
		const again = { prepare: () => room.clear() };
		const inside = (command) => [command[0], room.command(command[1])];
		await compare("restore a small process", 2, restore(tiny), inside(node), again);

		const bytes = join(large, "pages-1.img");
		const bare = async () => Number(await output([process.execPath, preadv, bytes]));
		const name = `restore ${size} MiB`;
		await compare(name, 0.5, restore(large), ["preadv, one thread, 4 KiB pages", bare], again);
		const criu = criuRestore();
		if (criu === undefined) skip("… against criu restore", NO_CRIU);
		else await compare(name, 0.5, restore(large), ["criu restore", room.command(criu(large))], again);
		await room.clear();
		await memory("… peak memory", 150, cli("restore", "-s", "-i", large), room.command);
	} finally {
		await room.close();
	}
}
