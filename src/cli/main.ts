#!/usr/bin/env node
import { reportFailure } from "./failure.ts";
import { run } from "./program.ts";

// until it is known better: a program that comes to rest with nothing said has failed
process.exitCode = 1;
run(process.argv.slice(2))
	.catch(reportFailure)
	.then((status) => {
		process.exitCode = status;
	});
