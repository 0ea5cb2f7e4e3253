import { readFileSync } from "node:fs";
import { once } from "../../src/bytes/once.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { refusalText } from "../../src/cli/failure.ts";
import { coreJson } from "../../src/cli/show/core-json.ts";
import { coreText } from "../../src/cli/show/core-text.ts";
import { viewOfCore } from "../../src/cli/show/core-view.ts";
import { imagesJson } from "../../src/cli/show/images-json.ts";
import { imagesText } from "../../src/cli/show/images-text.ts";
import { viewOfImages } from "../../src/cli/show/images-view.ts";
import { jsonPieces } from "../../src/cli/show/json-stream.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { readCore } from "../../src/core/core.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { checkNewImages } from "../../src/criu/store/new-images.ts";
import { buildIdOfFile } from "../../src/elf/build-id.ts";
import { readSymbols } from "../../src/elf/object.ts";
import { NecromancerError } from "../../src/errors.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { patch } from "../../src/patch/patch.ts";
import { compilePlan } from "../../src/plan/compile/compile.ts";
import { assemble } from "../../src/program/assemble.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { fixtureCore } from "../support/builders/fixture-core.ts";
import { madeHost } from "../support/builders/made-host.ts";
import { understoodAlone, understoodWith } from "../support/builders/understood.ts";

/** What must never be, in words. */
export type Find = string;

const MOST_MILLISECONDS = 5000;
const MOST_BYTES = 300 << 20;
const MOST_TEXT = 4096;

const nowhere = { write: () => true };
const { paint } = openTerminal({ stdout: nowhere, stderr: nowhere, env: {} });
const facts = madeHost();
const drain = (pieces: Iterable<string>): void => {
	for (const _ of pieces);
};

/** Runs each of the steps; whatever one throws that is no refusal is a find, as is what takes too much. */
function judged(...steps: readonly (() => void)[]): Find | undefined {
	for (const step of steps) {
		const [time, memory] = [performance.now(), process.memoryUsage()];
		try {
			step();
		} catch (error) {
			if (!(error instanceof NecromancerError)) return error instanceof Error ? `${error.stack}` : String(error);
			const { length } = Buffer.from(refusalText(error));
			if (length > MOST_TEXT || error.message.length > 4 * MOST_TEXT) return `${length} bytes of text: ${error.code}`;
		}
		const taken = performance.now() - time;
		if (taken > MOST_MILLISECONDS) return `took ${Math.round(taken)} ms`;
		const after = process.memoryUsage();
		const grown = after.heapUsed + after.arrayBuffers - memory.heapUsed - memory.arrayBuffers;
		if (grown > MOST_BYTES) return `took ${grown >> 20} MiB`;
	}
	return undefined;
}

/** A core: shown in both ways, made a task without and with a donor, and planned. */
export function judgeCore(bytes: Buffer, donor: string): Find | undefined {
	const dead = () => taskFromCore(readCore(fromBuffer("core", bytes)));
	const plan = (task: Parameters<typeof compilePlan>[0]): void => {
		assemble(compilePlan(task, facts, { fds: new Map(), missing: "null" }));
	};
	return judged(
		() => {
			const view = viewOfCore(readCore(fromBuffer("core", bytes)));
			drain(coreText(view, paint, true));
			drain(coreText(view, paint, false));
			drain(jsonPieces(coreJson(view)));
		},
		() => {
			plan(understoodAlone(dead(), { fds: new Map(), credentials: nobody }).task);
		},
		() => {
			const dir = openImageDir(donor);
			try {
				plan(understoodWith(dead(), taskFromImages(dir), { allowMismatch: true }).task);
				checkNewImages(patch(dead(), dir, { host: nothingHere, allowMismatch: true }).draft);
			} finally {
				dir.close();
			}
		},
	);
}

/** Unpacked once. */
const counter = once(() => fixtureCore("counter"));

/** A host without a file. */
export const nothingHere = { open: () => undefined, sizeOf: () => undefined };

/** Rights that hold nothing. */
const nobody = {
	...{ uid: 1, euid: 1, suid: 1, fsuid: 1, gid: 1, egid: 1, sgid: 1, fsgid: 1, groups: [], securebits: 0 },
	...{ inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n, noNewPrivileges: true },
};

/** An image directory: shown in both ways, planned, and patched with a core. */
export function judgeImages(path: string): Find | undefined {
	const within = (work: (dir: ReturnType<typeof openImageDir>) => void) => () => {
		const dir = openImageDir(path);
		try {
			work(dir);
		} finally {
			dir.close();
		}
	};
	return judged(
		within((dir) => {
			const view = viewOfImages(dir, undefined);
			drain(imagesText(view, paint, true));
			drain(jsonPieces(imagesJson(view)));
		}),
		within((dir) => {
			assemble(compilePlan(taskFromImages(dir), facts, { fds: new Map(), missing: "null" }));
		}),
		within((dir) => {
			const dead = taskFromCore(readCore(fromBuffer("core", counter())));
			checkNewImages(patch(dead, dir, { host: nothingHere, allowMismatch: true }).draft);
		}),
	);
}

/** A library or an executable. */
export const judgeObject = (bytes: Buffer): Find | undefined =>
	judged(
		() => void buildIdOfFile(fromBuffer("object", bytes)),
		() => void readSymbols(fromBuffer("object", bytes), ["environ", "main", "_start"]),
	);

/** Some object that every machine with Node has. */
export const someObject = (): Buffer => readFileSync(process.execPath).subarray(0, 4096);
