// Fails every step of a restore in turn: `node fail-walk.mjs DIST IMAGES COUNT [STRIDE [IDS [DIRECTORY]]]`, in a pid namespace of its own; with a
// stride only every so manieth. Prints what each failure said, which processes were left, and what else there is that was not there
// before, or not any more: terminals, locks, IPC objects, files in DIRECTORY; as JSON.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [, , dist, images, count, stride = "1", ids = "same", directory] = process.argv;
const { restore } = await import(join(dist, "restore/restore.js"));
const { openImageDir } = await import(join(dist, "criu/image-dir.js"));
const { forestFromImages } = await import(join(dist, "images/read/from-images.js"));

const dir = openImageDir(images);
const forest = forestFromImages(dir);
const linesOf = (file) => readFileSync(file, "latin1").split("\n").slice(0, -1);
const world = () => [
	...["/dev/pts", ...(directory === undefined ? [] : [directory])].flatMap((at) =>
		readdirSync(at).map((name) => `${at}/${name}`),
	),
	// each begins with a number that is counted anew
	...linesOf("/proc/locks").map((line) => `lock${line.slice(line.indexOf(":"))}`),
	...["shm", "sem", "msg"].flatMap((kind) => linesOf(`/proc/sysvipc/${kind}`).slice(1)),
];
const before = world();
const walk = [];
for (let failStep = 1; failStep <= Number(count); failStep += Number(stride)) {
	const failure = await restore(forest, { stopped: false, fds: new Map(), missing: "error", failStep, ids }).then(
		() => ({ code: "restored", exitStatus: 0, message: "" }),
		({ code, exitStatus, message }) => ({ code, exitStatus, message }),
	);
	if (failure.code === "ERR_USAGE") break; // behind the last step
	const left = readdirSync("/proc")
		.map(Number)
		.filter((pid) => pid > 1 && pid !== process.pid);
	const now = world();
	const changed = [...now.filter((it) => !before.includes(it)), ...before.filter((it) => !now.includes(it))];
	walk.push({ step: failStep, ...failure, left, changed });
	if (failure.exitStatus === 0) break;
}
dir.close();
process.stdout.write(JSON.stringify(walk));
