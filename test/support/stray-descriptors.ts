import { closeSync, readdirSync, readFileSync } from "node:fs";

/*
 * Processes that tests make are to have what the tests give them, and no descriptors that whoever started the tests has left
 * open by mistake. Node's own are closed on exec; all others above 2 come from outside.
 */

const CLOSE_ON_EXEC = 0o2000000;

for (const number of readdirSync("/proc/self/fd").map(Number)) {
	if (number <= 2) continue;
	try {
		const [, flags = "0"] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${number}`, "latin1")) ?? [];
		if ((Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) closeSync(number);
	} catch {
		// the listing's own is closed again
	}
}
