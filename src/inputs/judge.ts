import { fileOffset, PAGE_SIZE, pageCeil } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { once } from "../bytes/once.ts";
import type { ByteSource } from "../bytes/source.ts";
import { sameBuildId } from "../criu/build-id.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { isDebugOnly } from "../elf/debug-only.ts";
import { type FileIdentity, sameFile } from "../forest/file-identity.ts";
import type { Different, Gone, Proof, Verdict } from "../forest/verdict.ts";
import { S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK } from "../linux/stat.ts";
import type { Expected } from "./expected.ts";
import { IRREGULAR, isGone } from "./gone.ts";
import { otherStart } from "./same-start.ts";

/** A file that was opened, or looked at through a descriptor that cannot be read. Its name does not matter any more. */
export interface OpenedFile {
	/** Bytes. */
	readonly size: bigint;
	/** st_mode: type and permissions. */
	readonly mode?: number;
	readonly identity?: FileIdentity;
	/** Its bytes, where they can be read. */
	readonly source?: ByteSource;
	/** Of a regular file, lower-case hex; read once. */
	buildId(): string | undefined;
}

export const openedFile = (source: ByteSource, mode = source.mode): OpenedFile => ({
	size: source.size,
	source,
	...defined({ mode }),
	buildId: once(() => buildIdOfFile(source)),
});

/**
 * The one judge of files: whether what was opened is what a process had. What contradicts is looked for first, then what proves.
 *
 * @throws NecromancerError ERR_IO.
 */
export function judge(expected: Expected, here: OpenedFile | Gone): Verdict {
	if (isGone(here)) return here;
	const { size, isMapped, reach = { lastStart: 0n, end: 0n } } = expected;
	if (isMapped === true && !isMappable(here)) return IRREGULAR;
	const contradiction =
		otherMode(expected, here) ??
		(expected.buildId === undefined ? otherObject(expected, here) : otherBuild(expected, here));
	if (contradiction !== undefined) return contradiction;
	if (size !== undefined && size !== here.size) return different(`has ${here.size} bytes`, `expected ${size}`);
	const proof = proofOf(expected, here);
	const end = pageCeil(here.size);
	const short = reach.end > end ? reach.end - end : 0n;
	if (short > 0n && (isOfBytes(proof) || reach.lastStart >= end))
		return different(`has ${here.size} bytes`, `expected more: it was mapped up to byte ${reach.end}`);
	return proof === undefined || short > 0n ? { kind: "plausible", short } : { kind: "same", proof };
}

const different = (finding: string, expectation: string): Different => ({ kind: "different", finding, expectation });

const isMappable = (here: OpenedFile): boolean => ![S_IFDIR, S_IFIFO, S_IFSOCK].some((type) => isOfType(here, type));

const isOfType = ({ mode = 0 }: OpenedFile, type: number): boolean => (mode & S_IFMT) === type;

const isRegular = (here: OpenedFile): boolean => here.mode === undefined || isOfType(here, S_IFREG);

function otherMode({ mode, waits }: Expected, here: OpenedFile): Different | undefined {
	if (here.mode === undefined) return undefined;
	if (mode !== undefined && mode !== here.mode)
		return different(`has mode ${octal(here.mode)}`, `expected ${octal(mode)}`);
	return waits === true && isOfType(here, S_IFIFO) ? different("is a FIFO", "expected a file") : undefined;
}

const octal = (mode: number): string => `0${mode.toString(8)}`;

function otherBuild({ buildId = "", hasCode }: Expected, here: OpenedFile): Different | undefined {
	const id = isRegular(here) ? here.buildId() : undefined;
	if (id === undefined || !sameBuildId(id, buildId))
		return different(`has build-id ${id ?? "none"}`, `expected ${buildId}`);
	if (hasCode === true && here.source !== undefined && isDebugOnly(here.source))
		return different("holds debug information only", "expected the code too");
	return undefined;
}

/** Of files without a build-id in core or images. */
function otherObject(expected: Expected, { source }: OpenedFile): Different | undefined {
	if (source === undefined) return undefined;
	const { head } = expected;
	if (head !== undefined && !beginsWith(source, head))
		return different("has other program headers", "expected those in the core, which has no build-id of it");
	const strange = otherStart(expected, source);
	return strange === undefined ? undefined : different(strange.finding, strange.expectation);
}

/** Of a file that nothing contradicts. */
function proofOf(expected: Expected, here: OpenedFile): Proof | undefined {
	const { buildId, head, identity, size, mode, beginning } = expected;
	if (buildId !== undefined) return "build-id";
	if (here.source !== undefined && head !== undefined) {
		const page = beginning?.(here.size < PAGE_SIZE ? Number(here.size) : Number(PAGE_SIZE));
		return page !== undefined && beginsWith(here.source, page) ? "first-page" : "headers";
	}
	if (identity !== undefined && here.identity !== undefined && sameFile(identity, here.identity)) return "identity";
	return size === undefined && mode === undefined ? undefined : "look";
}

/** Whether a proof is of what is in the file: then nothing that was mapped of it may be missing. */
const isOfBytes = (proof: Proof | undefined): boolean =>
	proof === "build-id" || proof === "first-page" || proof === "headers";

const beginsWith = (source: ByteSource, bytes: Buffer): boolean =>
	source.read(fileOffset(0), bytes.length)?.equals(bytes) === true;
