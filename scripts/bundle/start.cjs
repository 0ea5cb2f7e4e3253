#!/usr/bin/env node
"use strict";
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { Script } = require("node:vm");

const file = join(__dirname, "BUNDLE.cjs");

function bytecode() {
	try {
		return readFileSync(join(__dirname, "BUNDLE.bytecode"));
	} catch {
		return undefined;
	}
}

new Script(readFileSync(file, "latin1"), { filename: file, cachedData: bytecode() }).runInThisContext()(require, file);
