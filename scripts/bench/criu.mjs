// CRIU, where there is one that runs here.
import { execFileSync } from "node:child_process";

/** Path and version of one of version 4 or later; undefined where none is found. */
export function findCriu() {
	const path = process.env.CRIU ?? "criu";
	try {
		const told = execFileSync(path, ["--version"], { encoding: "utf8", stdio: "pipe" });
		const [, version = "0"] = /Version: ([\d.]+)/.exec(told) ?? [];
		return Number.parseInt(version, 10) < 4 ? undefined : { path, version };
	} catch {
		return undefined;
	}
}

/** What restores images with it and leaves the process stopped; undefined where there is none. */
export function criuRestore() {
	const criu = findCriu();
	if (criu === undefined) return undefined;
	return (images) => [criu.path, "restore", "-d", "--leave-stopped", "--manage-cgroups=ignore", "-D", images];
}

/** What dumps a process with it and lets that run on; undefined where there is none. */
export function criuDump() {
	const criu = findCriu();
	if (criu === undefined) return undefined;
	return (pid, images) => [criu.path, "dump", "-t", `${pid}`, "-R", "--manage-cgroups=ignore", "-v0", "-D", images];
}

export const NO_CRIU = "needs criu >= 4, on PATH or in CRIU";
