// The process of the demo. What it knows is nowhere but in its memory: a secret, and a map that grows.
import { appendFileSync } from "node:fs";

const secret = Math.random().toString(36).slice(2, 10);
const rounds = new Map();

setInterval(() => {
	const n = rounds.size + 1;
	rounds.set(n, new Date().toISOString().slice(11, 23));
	appendFileSync(process.argv[2], `round ${n}: secret ${secret}, ${rounds.size} entries since ${rounds.get(1)}\n`);
}, 100);
