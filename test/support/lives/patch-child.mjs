// What the kill sweep kills: `node patch-child.mjs DIST SCENE VERB [OUT]`, where SCENE is what scene.ts makes, as JSON.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [, , dist, sceneFile, verb, out] = process.argv;
const { commitInPlace, recover, writeNewDirectory } = await import(join(dist, "criu/store/commit.js"));
const { openFile } = await import(join(dist, "bytes/source.js"));

const { openDirectory } = await import(join(dist, "bytes/open-directory.js"));

const scene = JSON.parse(readFileSync(sceneFile, "utf8"));
if (verb === "recover") recover(scene.donor);
else {
	const PAGE = 4096n;
	const source = openFile(scene.core);
	const runs = scene.runs.map(({ start, length, offset }) => ({
		start: BigInt(start) * PAGE,
		length: BigInt(length) * PAGE,
		source,
		offset: BigInt(offset),
		available: BigInt(length) * PAGE,
		baseline: "zero",
		flags: 4,
	}));
	const draft = {
		copies: new Map(Object.entries(scene.copies)),
		images: new Map(Object.entries(scene.images).map(([name, text]) => [name, [Buffer.from(text)]])),
		pages: [{ pages: "pages-1.img", pagemap: "pagemap-200.img", kind: "task", pagesId: 1, runs }],
	};
	const names = readdirSync(scene.donor).filter((name) => !name.startsWith(".necromancer"));
	const donor = { path: scene.donor, directory: openDirectory(scene.donor), names };
	if (verb === "commit") await commitInPlace(draft, donor);
	else await writeNewDirectory(draft, donor, out);
}
