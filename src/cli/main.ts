#!/usr/bin/env node
import { setFlagsFromString } from "node:v8";
import { watchOutput } from "./broken-output.ts";
import { outputFailure, reportFailure } from "./failure.ts";
import { run } from "./program.ts";

// hostile input may consist of many small objects: prefer a small heap over less garbage collection
setFlagsFromString("--heap-growing-percent=20");
const broken = watchOutput([process.stdout, process.stderr]);
// until `run` settles: an event loop that drains before is a failure
process.exitCode = 1;
run(process.argv.slice(2))
	.catch(reportFailure)
	.then((status) => {
		process.exitCode = status;
	});
// streams report write errors asynchronously
process.on("exit", (status) => {
	const cause = broken();
	if (status === 0 && cause !== undefined) process.exitCode = reportFailure(outputFailure(cause));
});
