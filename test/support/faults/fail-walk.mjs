// Fails every step of a restore in turn: `node fail-walk.mjs DIST IMAGES COUNT [STRIDE [IDS]]`, in a pid namespace of its own; with a
// stride only every so manieth. Prints what each failure said and which processes were left, as JSON.
import { readdirSync } from "node:fs";
import { join } from "node:path";

const [, , dist, images, count, stride = "1", ids = "same"] = process.argv;
const { restore } = await import(join(dist, "restore/restore.js"));
const { openImageDir } = await import(join(dist, "criu/image-dir.js"));
const { forestFromImages } = await import(join(dist, "images/read/from-images.js"));

const dir = openImageDir(images);
const forest = forestFromImages(dir);
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
	walk.push({ step: failStep, ...failure, left });
	if (failure.exitStatus === 0) break;
}
dir.close();
process.stdout.write(JSON.stringify(walk));
