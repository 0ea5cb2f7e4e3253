import { spawn } from "node:child_process";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import type { Packing } from "../bytes/packing.ts";
import { refuse } from "../errors.ts";

/** Takes unpacked bytes in. What it throws ends the unpacking. */
export type Take = (bytes: Buffer) => void;

/**
 * Unpacks a stream: gzip with Node's own zlib, the rest with the usual programs, which are found in PATH.
 *
 * @param name What messages call the stream.
 * @throws NecromancerError ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT, ERR_HOST where the program is not installed; whatever
 *   `take` and the input throw; the reason of `signal`.
 */
export async function unpack(
	input: AsyncIterable<Buffer>,
	packing: Packing | undefined,
	name: string,
	take: Take,
	signal?: AbortSignal,
): Promise<void> {
	let refused: { readonly why: unknown } | undefined;
	const drain = async (stream: AsyncIterable<Buffer>): Promise<void> => {
		for await (const bytes of stream) {
			try {
				signal?.throwIfAborted();
				take(bytes);
			} catch (why) {
				refused = { why };
				throw why;
			}
		}
	};
	try {
		if (packing === undefined) await drain(input);
		else if (packing === "gzip") await gunzip(input, name, drain);
		else await unpackWith(packing, input, name, drain);
	} catch (error) {
		// prefer the reason over the error of the closed pipeline
		throw refused === undefined ? error : refused.why;
	}
}

/** Large enough that the calls do not count. */
const CHUNK = 1 << 18;

type Drain = (stream: AsyncIterable<Buffer>) => Promise<void>;

async function gunzip(input: AsyncIterable<Buffer>, name: string, drain: Drain): Promise<void> {
	try {
		await pipeline(Readable.from(input), createGunzip({ chunkSize: CHUNK }), drain);
	} catch (cause) {
		const { code, message } = cause as NodeJS.ErrnoException;
		if (code === "Z_BUF_ERROR") endsEarly(name, "gzip", message, cause);
		if (/^Z_/.test(code ?? "")) damaged(name, "gzip", message, cause);
		throw cause;
	}
}

interface Tool {
	readonly args: readonly string[];
	/** Where it is to be had, as distributions call it. */
	readonly parcel: string;
}

const tools: Readonly<Record<Exclude<Packing, "gzip">, Tool>> = {
	zstd: { args: ["-dc", "-q"], parcel: "zstd" },
	lz4: { args: ["-dc", "-q"], parcel: "lz4" },
	xz: { args: ["-dc", "-q"], parcel: "xz-utils or xz" },
	// quiet, it would not even say what is wrong
	bzip2: { args: ["-dc"], parcel: "bzip2" },
};

/** A stream may ask for gigabytes of window; xz has no limit of its own (xz -9 asks for 65 MiB), zstd's is 128 MiB. */
const XZ_LIMIT = "--memlimit-decompress=192MiB";

async function unpackWith(
	tool: keyof typeof tools,
	input: AsyncIterable<Buffer>,
	name: string,
	drain: Drain,
): Promise<void> {
	const child = spawn(tool, tools[tool].args, {
		stdio: ["pipe", "pipe", "pipe"],
		env: { ...process.env, LC_ALL: "C", XZ_OPT: XZ_LIMIT },
	});
	let said = "";
	child.stderr.on("data", (text: Buffer) => {
		if (said.length < MOST_SAID) said += text.toString("latin1");
	});
	const ended = new Promise<number | NodeJS.Signals | Error>((done) => {
		child.once("error", done);
		child.once("close", (status, signal) => done(signal ?? status ?? 0));
	});
	let failed: unknown;
	try {
		await Promise.all([feed(input, child.stdin), drain(child.stdout)]);
	} catch (cause) {
		failed = cause;
		child.kill("SIGKILL");
		child.stdout.destroy();
	}
	const end = await ended;
	if (end instanceof Error) return missingTool(tool, name, end);
	if (failed !== undefined) throw failed;
	if (end !== 0) refuseTool(tool, name, end, said);
}

const MOST_SAID = 1000;

/** Writes to a program's input. EPIPE is ignored: the program's own message says what is wrong. */
async function feed(input: AsyncIterable<Buffer>, into: Writable): Promise<void> {
	try {
		await pipeline(Readable.from(input), into);
	} catch (cause) {
		const { code = "" } = cause as NodeJS.ErrnoException;
		if (!["EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"].includes(code)) throw cause;
	}
}

function refuseTool(tool: keyof typeof tools, name: string, end: number | string, said: string): never {
	const [line = ""] = said.trim().split(/[;\n]/);
	// without the program's name and its name for standard input
	const words = line.replace(/^(?:\w+: )?(?:(?:\/\*stdin\*\\|\(?stdin\)?)\s*:\s*)?/, "").trim();
	const finding = words === "" ? `${tool} ended with ${end}` : words;
	const early =
		/premature|unexpected(?:ly)?\b.*\bend|ends? unexpectedly|unfinished|incomplete|can ?not read|end of (?:input|file)/i;
	return early.test(said) ? endsEarly(name, tool, finding) : damaged(name, tool, finding);
}

const missingTool = (tool: keyof typeof tools, name: string, cause: Error): never =>
	refuse(
		"ERR_HOST",
		{
			subject: name,
			finding: `is compressed with ${tool}, which cannot be run (${(cause as NodeJS.ErrnoException).code ?? cause.message})`,
			remedy: `install it (package ${tools[tool].parcel}), or give the core unpacked`,
		},
		{ cause },
	);

const endsEarly = (subject: string, packing: Packing, words: string, cause?: unknown): never =>
	refuse(
		"ERR_CORE_TRUNCATED",
		{
			subject,
			finding: `ends inside its ${packing} data (${words})`,
			expectation: "expected all of it",
			remedy: "copy it again from where it was written",
		},
		{ cause },
	);

const damaged = (subject: string, packing: Packing, words: string, cause?: unknown): never =>
	refuse(
		"ERR_CORE_CORRUPT",
		{
			subject,
			finding: `its ${packing} data is damaged (${words})`,
			remedy: "copy it again from where it was written",
		},
		{ cause },
	);
