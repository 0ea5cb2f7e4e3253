const { writeSync } = require("node:fs");

let last = process.hrtime.bigint();
setInterval(() => {
	const now = process.hrtime.bigint();
	writeSync(1, `node ${(now - last) / 1000000n}\n`);
	last = now;
}, 100);
