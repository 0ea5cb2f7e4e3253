import { spawnSync } from "node:child_process";

/** Whether a program can be run. In CI its absence is a failure: a test that needs it says so in its title otherwise. */
export function hasTool(name: string, probe: readonly string[] = ["--version"]): boolean {
	const found = spawnSync(name, probe, { stdio: "ignore" }).error === undefined;
	if (!found && process.env["CI"] !== undefined) throw new Error(`this test needs ${name}`);
	return found;
}
