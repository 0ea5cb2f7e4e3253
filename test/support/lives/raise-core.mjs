// node raise-core.mjs DIST CORE [N=PATH…]: makes a process of a core alone, lets it go on, and prints its id.
import { statSync } from "node:fs";

const [dist, core, ...named] = process.argv.slice(2);
const load = (module) => import(`${dist}/${module}.js`);
const { openFile } = await load("bytes/source");
const { readCore } = await load("core/core");
const { taskFromCore } = await load("task/from-core/from-core");
const { deduce } = await load("task/deduce/deduce");
const { restore } = await load("restore/restore");

const orNothing = (look) => {
	try {
		return look();
	} catch {
		return undefined;
	}
};
const fds = new Map(named.map((text) => [Number(text.split("=")[0]), text.slice(text.indexOf("=") + 1)]));
const { task } = deduce(taskFromCore(readCore(openFile(core))), {
	fds,
	open: (path) => orNothing(() => openFile(path)),
	modeOf: (path) => orNothing(() => statSync(path).mode),
});
const { pid, release } = await restore(task, { stopped: false, fds: new Map(), missing: "error" });
await release();
console.log(pid);
