const { writeSync } = require("node:fs");
const { uptime } = require("node:os");

let last = process.hrtime.bigint();
// CLOCK_BOOTTIME
let lastUptime = uptime();
setInterval(() => {
	const now = process.hrtime.bigint();
	const nowUptime = uptime();
	writeSync(1, `node ${(now - last) / 1000000n} ${Math.round(1000 * (nowUptime - lastUptime))}\n`);
	last = now;
	lastUptime = nowUptime;
}, 100);
