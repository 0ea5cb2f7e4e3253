import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { showImages } from "../../src/cli/show/images.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { readCore } from "../../src/core/core.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { NecromancerError } from "../../src/errors.ts";
import { forestFromImages, taskFromImages } from "../../src/images/read/from-images.ts";
import { patch } from "../../src/patch/patch.ts";
import { compilePlan } from "../../src/plan/compile/compile.ts";
import { assemble } from "../../src/program/assemble.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { buildCore } from "../support/builders/core-builder.ts";
import { writeDonor } from "../support/builders/donor-builder.ts";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { madeHost } from "../support/builders/made-host.ts";
import { deadCore, hostWith, livingDonor } from "../support/builders/pair.ts";
import { spoil, spoilings } from "../support/builders/spoil-image.ts";
import { scratch } from "../support/scratch.ts";

const facts = madeHost();
const terminal = openTerminal({ stdout: { write: () => {} }, stderr: { write: () => {} }, env: {} });
const dead = taskFromCore(readCore(fromBuffer("core.500", buildCore(deadCore({ tids: [500, 501] })))));

/** Whatever a call has to say against its input is a refusal in words; anything else that it throws is a bug. */
async function orRefused<T>(call: () => T): Promise<Awaited<T> | undefined> {
	try {
		return await call();
	} catch (error) {
		if (!(error instanceof NecromancerError)) throw error;
		expect(error.message).not.toMatch(/undefined|NaN|\[object|Infinity/);
		return undefined;
	}
}

/** All that reads images without making a process: what they hold, what would be made, what they lend to a core. */
async function readEverything(path: string): Promise<void> {
	for (const json of [false, true]) await orRefused(() => showImages(path, { json, verbose: true }, terminal));
	const dir = await orRefused(() => openImageDir(path));
	if (dir === undefined) return;
	try {
		await orRefused(() => forestFromImages(dir));
		const task = await orRefused(() => taskFromImages(dir));
		if (task !== undefined)
			await orRefused(() => assemble(compilePlan(task, facts, { fds: new Map(), missing: "null" })));
		await orRefused(() => patch(dead, dir, { host: hostWith(), allowMismatch: true }));
	} finally {
		dir.close();
	}
}

/** A directory of images to be spoilt, and what it held. */
function copyOf(from: string): { readonly path: string; readonly images: readonly (readonly [string, Buffer])[] } {
	const path = join(scratch(), "copy");
	mkdirSync(path);
	const images = readdirSync(from).map((name) => [name, readFileSync(join(from, name))] as const);
	for (const [name, bytes] of images) writeFileSync(join(path, name), bytes);
	return { path, images };
}

test.each([
	["built by hand", () => writeDonor(join(scratch(), "donor"), livingDonor({ tids: [200, 201] }))],
	["of CRIU's", () => fixturePath("threads/images")],
])("images %s with something else in them are read or refused", async (_, from) => {
	const { path, images } = copyOf(from());
	const readable = images.filter(([name]) => name.endsWith(".img") && !name.startsWith("pages-"));
	const change = fc.tuple(fc.nat(readable.length - 1), spoilings);
	await fc.assert(
		fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
			const changed = new Map<string, Buffer>();
			for (const [which, how] of changes) {
				const [name, bytes] = readable[which] ?? ["", Buffer.alloc(0)];
				changed.set(name, spoil(changed.get(name) ?? bytes, how));
			}
			for (const [name, bytes] of changed) writeFileSync(join(path, name), bytes);
			try {
				await readEverything(path);
			} finally {
				for (const [name, bytes] of readable) if (changed.has(name)) writeFileSync(join(path, name), bytes);
			}
		}),
	);
});
