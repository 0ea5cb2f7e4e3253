// Preload (`node --import`): when the first process is started, has process LATE_FILTER lock itself in (late-filter.c), and waits
// until it has.
import child from "node:child_process";
import { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const pid = Number(process.env.LATE_FILTER);
const { spawn } = child;
let struck = false;
child.spawn = (...args) => {
	if (!struck) {
		struck = true;
		process.kill(pid, "SIGUSR1");
		while (!/^Seccomp:\t2$/m.test(readFileSync(`/proc/${pid}/status`, "latin1")));
	}
	return spawn(...args);
};
syncBuiltinESMExports();
