// CRIU, where there is one that runs here.
import { execFileSync } from "node:child_process";

/** What restores images with it and leaves the process stopped; undefined where none of version 4 or later is found. */
export function criuRestore() {
	const path = process.env.CRIU ?? "criu";
	try {
		const [, major] =
			/Version: (\d+)/.exec(execFileSync(path, ["--version"], { encoding: "utf8", stdio: "pipe" })) ?? [];
		if (Number(major) < 4) return undefined;
	} catch {
		return undefined;
	}
	return (images) => [path, "restore", "-d", "--leave-stopped", "--manage-cgroups=ignore", "-D", images];
}

export const NO_CRIU = "needs criu >= 4, on PATH or in CRIU";
