import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { buildCore, xstateArea } from "../support/builders/core-builder.ts";
import { deadStack } from "../support/builders/dead-stack.ts";
import { fixtureCore, fixturePath } from "../support/builders/fixture-core.ts";
import { type Chance, chance } from "./chance.ts";
import { judgeCore, judgeImages, judgeObject, someObject } from "./judge.ts";
import { mutated, mutatedImage } from "./mutate.ts";

/** What scripts/fuzz.mjs hands in. `at`: the number of the input that is being judged, for whoever watches. */
interface Order {
	readonly seed: number;
	readonly first: number;
	readonly inputs: number;
	readonly milliseconds: number;
	readonly corpus: string;
	readonly at: Int32Array;
}

const order = workerData as Order;
const room = mkdtempSync(join(tmpdir(), "necromancer-fuzz-"));

const stack = deadStack(["/bin/prog", "x"], ["A=b"], { size: 0x2000, gap: 20 });

/** Cores of both writers with a little of everything, and one that a kernel wrote, without its memory. */
const cores: readonly Buffer[] = [
	...(["kernel", "gdb"] as const).map((style) =>
		buildCore({
			style,
			threads: [
				{ tid: 5, signal: 11, siginfo: Buffer.alloc(128, 1), fx: Buffer.alloc(512), xstate: xstateArea(832, 7n, 7n) },
				{ tid: 6, signal: 11, shadowStack: 4096n, registers: new Array<bigint>(27).fill(stack.start + 64n) },
			],
			auxv: stack.auxv,
			files: [{ start: 0x1000n, end: 0x2000n, offset: 0n, path: "/bin/prog" }],
			segments: [
				{ start: 0x1000n, end: 0x2000n, prot: 5, bytes: someObject() },
				{ start: stack.start, end: stack.end, prot: 3, bytes: stack.bytes },
			],
			xsaveLayout: [[2, 256, 576]],
		}),
	),
	fixtureCore("counter"),
	fixtureCore("threads-gcore"),
];

/** Image directories in a place of our own, each with the images that are changed. */
const directories = ["counter", "threads"].map((name) => {
	const path = join(room, name);
	cpSync(fixturePath(`${name}/images`), path, { recursive: true });
	const images = readdirSync(path).filter((file) => !/^(?:pages-|stats)/.test(file));
	return { name, path, images: images.map((file): [string, Buffer] => [file, readFileSync(join(path, file))]) };
});
const donor = fixturePath("counter/images");
const objects: readonly Buffer[] = ["vdso", "self"].flatMap((what) =>
	what === "self" ? [readFileSync(process.execPath).subarray(0, 65_536)] : [],
);

/** Makes one input and judges it. */
function once(dice: Chance): { readonly what: string; readonly bytes: Buffer; readonly find: string | undefined } {
	const kind = dice.nat(10);
	if (kind === 0) {
		const bytes = mutated(dice.pick(objects), dice);
		return { what: "object", bytes, find: judgeObject(bytes) };
	}
	if (kind < 5) {
		const bytes = mutated(dice.pick(cores), dice);
		return { what: "core", bytes, find: judgeCore(bytes, donor) };
	}
	const { name, path, images } = dice.pick(directories);
	const [file, whole] = dice.pick(images);
	const bytes = mutatedImage(whole, dice);
	writeFileSync(join(path, file), bytes);
	const find = judgeImages(path);
	writeFileSync(join(path, file), whole);
	return { what: `${name}+${file}`, bytes, find };
}

const end = performance.now() + order.milliseconds;
let done = 0;
const seen = new Set<string>();
try {
	for (; done < order.inputs && performance.now() < end; done++) {
		Atomics.store(order.at, 0, order.first + done);
		const { what, bytes, find } = once(chance(order.seed, order.first + done));
		if (find === undefined) continue;
		// one of a kind is enough: what it says, and where
		const kind = find
			.replace(/0x[0-9a-f]+|\d+/g, "N")
			.split("\n")
			.slice(0, 3)
			.join("\n");
		if (seen.has(kind)) continue;
		seen.add(kind);
		const name = `${what}.${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}`;
		writeFileSync(join(order.corpus, name), bytes);
		parentPort?.postMessage({ input: order.first + done, name, find });
	}
} finally {
	rmSync(room, { recursive: true, force: true });
}
parentPort?.postMessage({ done });
