// What a figure was measured on.
import { readFileSync, realpathSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export const machineOf = (directory) => ({
	processor: cpus()[0]?.model.trim() ?? "unknown",
	processors: cpus().length,
	memory: totalmem(),
	kernel: release(),
	node: process.version,
	...fileSystemOf(realpathSync(directory)),
});

/** The deepest mount above a path, by /proc/self/mountinfo. */
function fileSystemOf(path) {
	const mounts = readFileSync("/proc/self/mountinfo", "utf8")
		.trim()
		.split("\n")
		.map((line) => {
			const [left = "", right = ""] = line.split(" - ");
			const [fileSystem, device] = right.split(" ");
			return { point: left.split(" ")[4] ?? "", fileSystem, device };
		})
		.filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`));
	const { fileSystem, device } = mounts.reduce((best, next) => (next.point.length >= best.point.length ? next : best));
	return { fileSystem, device };
}
