// Preload (`node --import`): stops before the STRIKE_AT-th message to an agent that holds the text STRIKE_TEXT, a path,
// or with STRIKE_AT=0 before the very first message, until whoever attacks has removed the file STRIKE_GATE, which is made then.
// With STRIKE_COUNT, how many there were is written
// there in the end.
import fs from "node:fs";
import net from "node:net";

const { STRIKE_AT = "", STRIKE_TEXT = "", STRIKE_GATE: gate, STRIKE_COUNT: count } = process.env;

const wait = () => {
	fs.writeFileSync(gate, "");
	const idle = new Int32Array(new SharedArrayBuffer(4));
	while (fs.existsSync(gate)) Atomics.wait(idle, 0, 0, 5);
};

let seen = 0;
let first = true;
const { write } = net.Socket.prototype;
net.Socket.prototype.write = function (bytes, ...rest) {
	// its standard streams are nobody's agent
	if (this.fd === 1 || this.fd === 2 || typeof bytes === "string") return write.call(this, bytes, ...rest);
	if (first && STRIKE_AT === "0") wait();
	first = false;
	if (Buffer.from(bytes).includes(`${STRIKE_TEXT}\0`)) {
		seen += 1;
		if (seen === Number(STRIKE_AT)) wait();
	}
	return write.call(this, bytes, ...rest);
};
process.on("exit", () => {
	if (count) fs.writeFileSync(count, `${seen}`);
});
