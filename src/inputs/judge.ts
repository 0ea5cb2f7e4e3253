import { type Address, fileOffset, pageCeil } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import { sameBuildId } from "../criu/build-id.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { isDebugOnly } from "../elf/debug-only.ts";
import { otherStart } from "./same-start.ts";
import type { WantedFile } from "./wanted-files.ts";

/** Whether a file of this host is the one that was mapped. */
export type Verdict =
	/** Its build-id, or its headers where it has none, are the same. */
	| { readonly kind: "same"; readonly proof: "build-id" | "headers" }
	/** Nothing contradicts it, nothing proves it. `short`: bytes of mappings beyond its end. */
	| { readonly kind: "plausible"; readonly short: bigint }
	| { readonly kind: "different"; readonly finding: string; readonly expectation: string };

const different = (finding: string, expectation: string): Verdict => ({ kind: "different", finding, expectation });

/**
 * Compares a file with what the core holds of the mapped one.
 *
 * @throws NecromancerError ERR_IO.
 */
export function verifyMappedFile(wanted: WantedFile, source: ByteSource): Verdict {
	const { buildId, head, hasCode, reach } = wanted;
	const end = pageCeil(source.size as Address);
	const short = reach.end > end ? reach.end - end : 0n;
	if (buildId !== undefined) {
		const id = buildIdOfFile(source);
		if (id === undefined || !sameBuildId(id, buildId))
			return different(`has build-id ${id ?? "none"}`, `expected ${buildId}`);
		if (hasCode && isDebugOnly(source)) return different("holds debug information only", "expected the code too");
		return whole(short, source, reach.end, "build-id");
	}
	if (head !== undefined) {
		const own = source.size < BigInt(head.length) ? undefined : source.read(fileOffset(0), head.length);
		if (own === undefined || !own.equals(head))
			return different("has other program headers", "expected those in the core, which has no build-id of it");
	}
	const strange = otherStart(wanted, source);
	if (strange !== undefined) return different(strange.finding, strange.expectation);
	if (head === undefined && (reach.lastStart < end || reach.end === 0n)) return { kind: "plausible", short };
	return whole(short, source, reach.end, "headers");
}

const whole = (short: bigint, source: ByteSource, end: bigint, proof: "build-id" | "headers"): Verdict =>
	short > 0n
		? different(`has ${source.size} bytes`, `expected more: it was mapped up to byte ${end}`)
		: { kind: "same", proof };
