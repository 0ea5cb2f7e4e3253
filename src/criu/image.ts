import { hex } from "../bytes/address.ts";
import { type Extent, extent } from "../bytes/extent.ts";
import { u32, viewOf } from "../bytes/layout.ts";
import type { ByteSource } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import type { Extra } from "./extra.ts";
import {
	COMMON_MAGIC,
	type ImageKind,
	imageKinds,
	type KindName,
	magicsOf,
	nameOfMagic,
	type RecordOf,
	SERVICE_MAGIC,
} from "./kinds.ts";
import { checkPagemap } from "./pagemap.ts";
import { type Frames, frames, USUAL_RECORDS } from "./wire/frames.ts";
import type { Messages, PagemapEntry, PagemapHead } from "./wire/generated/schema.ts";
import { type Budget, decodeRecord, encodeRecord, imageBudget, type MessageName } from "./wire/protobuf.ts";

export { pageCount, pagemapFlags } from "./pagemap.ts";

export interface ImageRecord<T> {
	readonly value: T;
	/** What lies behind the record; absent where nothing does. */
	readonly extra?: Extent;
}

export interface Image<T = unknown> {
	readonly kind: ImageKind;
	/** Of pagemaps, which always have it, and of nothing else. */
	readonly head?: PagemapHead;
	readonly records: readonly ImageRecord<T>[];
}

/**
 * Reads an image of a known kind. What lies behind records is left in `source`, which must stay open for it.
 *
 * @throws NecromancerError ERR_IMAGE_MAGIC for another kind, ERR_IMAGE_VERSION for a layout we do not know,
 * ERR_IMAGE_TRUNCATED and ERR_IMAGE_CORRUPT.
 */
export function readImage<K extends KindName>(source: ByteSource, name: K, outer?: Budget): Image<RecordOf<K>> {
	const kind = imageKinds[name];
	const budget = imageBudget(outer);
	const reader = frames(source, 0n, Math.max(USUAL_RECORDS, budget.pages));
	checkMagics(reader, source, kind);
	const head = kind.head === undefined ? undefined : (read(reader, source, kind.head, budget) as PagemapHead);
	const records: ImageRecord<RecordOf<K>>[] = [];
	while (reader.left > 0n) {
		const value = read(reader, source, kind.record, budget) as RecordOf<K>;
		const extra = kind.extra === undefined ? undefined : behind(reader, source, kind.extra(value as never), budget);
		records.push(extra === undefined ? { value } : { value, extra });
	}
	return head === undefined ? { kind, records } : { kind, head, records };
}

/**
 * The pieces of an image file in order: bytes, and references to what stays where it is. An image that was not edited
 * becomes what was read, byte for byte.
 *
 * @throws RangeError when a value does not fit its field, or an extra not its record: a bug of the caller.
 */
export function encodeImage({ kind, head, records }: Image): (Uint8Array | Extent)[] {
	const pieces: (Uint8Array | Extent)[] = [];
	let pending: Uint8Array[] = magicsOf(kind).map(word);
	const put = (type: MessageName, value: unknown): void => void pending.push(framed(type, value as never));
	const flush = (): void => {
		if (pending.length > 0) pieces.push(new Uint8Array(Buffer.concat(pending)));
		pending = [];
	};
	if ((head === undefined) !== (kind.head === undefined)) throw new RangeError(`a head does not fit ${kind.name}`);
	if (kind.head !== undefined) put(kind.head, head);
	for (const { value, extra } of records) {
		put(kind.record, value);
		const expected = kind.extra?.(value as never) ?? { bytes: 0n };
		const length = extra?.length ?? 0n;
		if ("bytes" in expected && expected.bytes !== length) {
			throw new RangeError(`${length} bytes behind a ${kind.record} that counts ${expected.bytes}`);
		}
		if (extra === undefined) continue;
		flush();
		pieces.push(extra);
	}
	flush();
	return pieces;
}

/** One record as images hold it: its length, then its bytes. */
export function framed<K extends MessageName>(type: K, value: Messages[K]): Uint8Array {
	const bytes = encodeRecord(type, value);
	return new Uint8Array(Buffer.concat([word(bytes.length), bytes]));
}

const word = (value: number): Uint8Array => {
	const bytes = new Uint8Array(4);
	u32.write(viewOf(bytes), 0, value);
	return bytes;
};

function read(reader: Frames, source: ByteSource, type: MessageName, budget: Budget): unknown {
	const subject = `${source.name} at ${hex(reader.at)}`;
	const value = decodeRecord(type, reader.record(), subject, budget);
	if (type === "pagemap_entry" || type === "pagemap_head") checkPagemap(value as PagemapHead | PagemapEntry, subject);
	return value;
}

/** Passes over what lies behind a record, checking on the way that it is all there. */
function behind(reader: Frames, source: ByteSource, extra: Extra, budget: Budget): Extent | undefined {
	const start = reader.at;
	if ("bytes" in extra) reader.skip(extra.bytes);
	else if ("rest" in extra) reader.skip(reader.left);
	else {
		const more = (i: number): boolean => (extra.count === undefined ? reader.left > 0n : i < extra.count);
		for (let i = 0; more(i); i++) reader.skip(extra.bytesOf(read(reader, source, extra.each, budget) as never));
	}
	const length = reader.at - start;
	return length === 0n ? undefined : extent(source, start, length);
}

function checkMagics(reader: Frames, source: ByteSource, kind: ImageKind): void {
	const [first, second] = magicsOf(kind);
	const outer = reader.word();
	if (outer === first && second === undefined) return;
	if (outer === second) {
		refuse("ERR_IMAGE_VERSION", {
			subject: source.name,
			finding: "is of image format 1, without the common magic",
			expectation: "expected format 1.1",
			remedy: "dump the donor again with a current CRIU",
		});
	}
	const wrapped = outer === COMMON_MAGIC || outer === SERVICE_MAGIC;
	const inner = wrapped ? reader.word() : outer;
	if (outer === first && inner === second) return;
	const other = nameOfMagic(inner);
	const plain = other === undefined || other === kind.name;
	refuse("ERR_IMAGE_MAGIC", {
		subject: source.name,
		finding: plain ? `starts with ${hex(outer)}${wrapped ? ` ${hex(inner)}` : ""}` : `is an image of kind ${other}`,
		expectation: `expected ${kind.name} (${magicsOf(kind).map(hex).join(" ")})`,
	});
}
