// Preload (`node --import`): the process kills itself with SIGKILL at its KILL_AT-th call that changes files, and says at
// its end, if it gets there, how many there were: to standard output, or to the file KILL_COUNT. A write is torn: its first
// half is done. With KILL_MESSAGES, three more moments are before, within and after everything that is sent to an agent. With
// KILL_GROUP it takes its process group along.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";

const at = Number(process.env.KILL_AT ?? 0);
let calls = 0;

const die = () => process.kill(process.env.KILL_GROUP ? 0 : process.pid, "SIGKILL");

const changing = (flags) =>
	typeof flags === "number"
		? (flags & (fs.constants.O_CREAT | fs.constants.O_TRUNC)) !== 0
		: /[wa+]/.test(flags ?? "r");

function watch(owner, name, torn) {
	const real = owner[name];
	if (typeof real !== "function") return;
	owner[name] = function (...args) {
		if (/^open/.test(name) && !changing(args[1])) return real.apply(this, args);
		calls++;
		if (calls === at) {
			torn?.(...args);
			die();
		}
		return real.apply(this, args);
	};
}

const names = [
	"open",
	"mkdir",
	"mkdtemp",
	"rmdir",
	"rm",
	"rename",
	"unlink",
	"link",
	"symlink",
	"chmod",
	"truncate",
	"copyFile",
	"writeFile",
	"appendFile",
	"cp",
];
const onDescriptors = ["ftruncate", "fchmod", "fchown", "write", "writev"];

const { writeSync, writeFileSync } = fs;
const tearOne = (fd, bytes, offset = 0, length = bytes.length, position = null) => {
	if (typeof bytes !== "string") writeSync(fd, bytes, offset, Math.floor(length / 2), position);
};
const tearMany = (fd, [first], position = null) => tearOne(fd, first, 0, first.length, position);
const tears = { write: tearOne, writeSync: tearOne, writev: tearMany, writevSync: tearMany };

for (const name of [...names, ...onDescriptors]) {
	for (const variant of [name, `${name}Sync`]) watch(fs, variant, tears[variant]);
	watch(fs.promises, name);
}

if (process.env.KILL_MESSAGES) {
	const { write } = net.Socket.prototype;
	net.Socket.prototype.write = function (bytes, ...rest) {
		// its standard streams are nobody's agent
		if (this.fd === 1 || this.fd === 2 || typeof bytes === "string") return write.call(this, bytes, ...rest);
		calls++;
		if (calls === at) die();
		calls++;
		if (calls === at) {
			write.call(this, bytes.subarray(0, bytes.length >> 1));
			die();
		}
		const result = write.call(this, bytes, ...rest);
		calls++;
		if (calls === at) die();
		return result;
	};
}

// FileHandle is no export: its prototype is found on one.
const handle = await fs.promises.open("/dev/null", "r");
for (const name of ["write", "writev", "writeFile", "appendFile", "truncate", "chmod"])
	watch(Object.getPrototypeOf(handle), name);
await handle.close();
syncBuiltinESMExports();

calls = 0;
process.on("exit", () => {
	if (at !== 0) return;
	if (process.env.KILL_COUNT) writeFileSync(process.env.KILL_COUNT, String(calls));
	else writeSync(1, `${calls}\n`);
});
