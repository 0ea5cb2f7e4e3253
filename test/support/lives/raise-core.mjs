// node raise-core.mjs DIST CORE [N=PATH…]: makes a process of a core alone, lets it go on, and prints its id.
import { statSync } from "node:fs";

const [dist, core, ...named] = process.argv.slice(2);
const load = (module) => import(`${dist}/${module}.js`);
const { openFile } = await load("bytes/source");
const { readCore } = await load("core/core");
const { taskFromCore } = await load("understand/from-core/from-core");
const { judge, openedFile } = await load("inputs/judge");
const { wantedFiles } = await load("inputs/wanted-files");
const { evidenceIn } = await load("understand/evidence/evidence");
const { understand } = await load("understand/understand");
const { forestOf } = await load("forest/forest");
const { restore } = await load("restore/restore");

const orNothing = (look) => {
	try {
		return look();
	} catch {
		return undefined;
	}
};
const fds = new Map(named.map((text) => [Number(text.split("=")[0]), text.slice(text.indexOf("=") + 1)]));
const dead = taskFromCore(readCore(openFile(core)));
const wanted = new Map(wantedFiles(dead).map((file) => [file.path, file]));
const evidence = evidenceIn(dead, (path) => {
	const source = orNothing(() => openFile(path));
	return source && { source, verdict: judge(wanted.get(path) ?? {}, openedFile(source)) };
});
const modeOf = (path) => orNothing(() => statSync(path).mode);
const { task } = understand(dead, evidence, undefined, { fds, modeOf });
const { pid, release } = await restore(forestOf([task]), { stopped: false, fds: new Map(), missing: "error" });
await release();
console.log(pid);
