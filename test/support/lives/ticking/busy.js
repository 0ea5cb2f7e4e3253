const { writeSync } = require("node:fs");
const { uptime } = require("node:os");

// It never comes back to its loop, and nobody in it sleeps.
let last = process.hrtime.bigint();
// CLOCK_BOOTTIME
let lastUptime = uptime();
for (;;) {
	const now = process.hrtime.bigint();
	if (now - last < 100_000_000n && now >= last) continue;
	const nowUptime = uptime();
	writeSync(1, `busy ${(now - last) / 1000000n} ${Math.round(1000 * (nowUptime - lastUptime))}\n`);
	last = now;
	lastUptime = nowUptime;
}
