// Makes the dead and their donors of fixtures/ anew, with this host's kernel and programs: npm run fixtures -- DIR [NAME…]
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { lackingFor, remake } from "./fixtures/remake.mjs";
import { openRoom } from "./room.mjs";

const HELP = `usage: npm run fixtures -- DIR [NAME…]

  DIR    gets a directory for each fixture: core, logs, maps, status and a donor's images; none may be there yet
  NAME   of a fixture (default: all)

The images are CRIU's where criu >= 4 is on PATH or in CRIU, else of necromancer dump. Goldens (plan.txt, deduced.txt,
show-*.txt) are the tests' to write, once the new ones are in fixtures/: UPDATE_GOLDEN=1 npx vitest run test/golden.
Exit status: 3 when one could not be made; a line says why.
`;

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
const all = readdirSync(fixtures, { recursive: true })
	.filter((path) => path.endsWith("/origin.json"))
	.map((path) => path.slice(0, -"/origin.json".length));

async function main() {
	const { positionals, values } = parseArgs({ allowPositionals: true, options: { help: { type: "boolean" } } });
	const [target, ...names] = positionals;
	if (values.help || target === undefined) return void process.stdout.write(HELP);
	for (const name of names)
		if (!all.includes(name)) throw new Error(`${name} is no fixture, expected one of ${all.join(", ")}`);
	for (const name of names.length === 0 ? all : names) {
		const lacking = lackingFor(name);
		if (lacking === undefined) await made(name, resolve(target, name));
		else {
			process.stdout.write(`${name}: cannot be made here, needs ${lacking}\n`);
			process.exitCode = 3;
		}
	}
}

async function made(name, to) {
	mkdirSync(join(to, ".."), { recursive: true });
	mkdirSync(to);
	const work = mkdtempSync(join(tmpdir(), "necromancer-fixtures-"));
	try {
		const room = await openRoom(join(work, "room"));
		if (room === undefined) throw new Error("needs root, unshare and nsenter");
		try {
			process.stdout.write(`${name}: ${await remake(name, to, room)}\n`);
		} finally {
			await room.close();
		}
	} catch (error) {
		rmSync(to, { recursive: true });
		process.stdout.write(`${name}: could not be made: ${error.message}\n`);
		process.exitCode = 3;
	} finally {
		rmSync(work, { recursive: true });
	}
}

await main().catch((error) => {
	console.error(`fixtures: ${error.message}`);
	process.exitCode = 1;
});
