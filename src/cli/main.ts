#!/usr/bin/env node
import { reportFailure } from "./failure.ts";
import { pardonClosedPipes } from "./pardon-closed-pipes.ts";
import { run } from "./program.ts";

pardonClosedPipes([process.stdout, process.stderr]);
// until it is known better: a program that comes to rest with nothing said has failed
process.exitCode = 1;
run(process.argv.slice(2))
	.catch(reportFailure)
	.then((status) => {
		process.exitCode = status;
	});
