// Preload (`node --import`): writes one byte into the middle of the file STRIKE, once, and sets its times back: when the
// first process is started (STRIKE_AT=spawn), or when a directory is made (mkdir). By then the file has been opened.
import child from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { STRIKE: path, STRIKE_AT: moment } = process.env;
const [owner, name] = moment === "spawn" ? [child, "spawn"] : [fs, "mkdirSync"];
const real = owner[name];
let struck = false;
owner[name] = (...args) => {
	if (!struck) {
		struck = true;
		const { atime, mtime, size } = fs.statSync(path);
		const fd = fs.openSync(path, "r+");
		fs.writeSync(fd, "X", Math.floor(size / 2));
		fs.closeSync(fd);
		fs.utimesSync(path, atime, mtime);
	}
	return real(...args);
};
syncBuiltinESMExports();
