#!/usr/bin/env node
import { reportFailure } from "./failure.ts";
import { run } from "./program.ts";

process.exitCode = await run(process.argv.slice(2)).catch(reportFailure);
