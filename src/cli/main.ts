#!/usr/bin/env node
import { setFlagsFromString } from "node:v8";
import { watchOutput } from "./broken-output.ts";
import { outputFailure, reportFailure } from "./failure.ts";
import { run } from "./program.ts";

// what is hostile may be mostly objects: then memory counts, and not the time to collect what was thrown away
setFlagsFromString("--heap-growing-percent=20");
const broken = watchOutput([process.stdout, process.stderr]);
// until it is known better: a program that comes to rest with nothing said has failed
process.exitCode = 1;
run(process.argv.slice(2))
	.catch(reportFailure)
	.then((status) => {
		process.exitCode = status;
	});
// a stream tells of its errors later
process.on("exit", (status) => {
	const cause = broken();
	if (status === 0 && cause !== undefined) process.exitCode = reportFailure(outputFailure(cause));
});
