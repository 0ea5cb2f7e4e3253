import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { delimited, framed, number, word } from "../witness/wire.ts";
import { vmaEntry, writeDonor } from "./donor-builder.ts";
import { livingDonor } from "./pair.ts";

/** Images in which one thing is said very often; see swollen-core.ts. */
export type SwollenImages = Readonly<
	Partial<Record<"runs" | "files" | "descriptors" | "mappings" | "threads" | "processes", number>>
>;

const PID = 200;
const FIRST = 0x10_0000n;
const STEP = 0x2000n;

/** Writes them into a new directory. */
export function writeSwollen(directory: string, shape: SwollenImages): string {
	writeDonor(directory, livingDonor());
	const append = (name: string, count: number | undefined, record: (i: number) => readonly number[]): void => {
		if (count === undefined) return;
		const path = join(directory, name);
		writeFileSync(path, Buffer.concat([readFileSync(path), repeated(count, (i) => framed(record(i)))]));
	};
	const at = (i: number): bigint => FIRST + STEP * BigInt(i);
	append(`pagemap-${PID}.img`, shape.runs, (i) => [...number(1, at(i)), ...number(2, 1), ...number(4, 2)]);
	append("files.img", shape.files, (i) => [
		...[...number(1, 1), ...number(2, 1000 + i)],
		...delimited(3, [...number(1, 1000 + i), ...number(2, 0), ...number(3, 0), ...NOBODY, ...delimited(6, `/${i}`)]),
	]);
	append("fdinfo-2.img", shape.descriptors, (i) => [
		...[...number(1, 1), ...number(2, 0), ...number(3, 1), ...number(4, 1000 + i)],
	]);
	append("pstree.img", shape.processes, (i) => [
		...[...number(1, 1000 + i), ...number(2, PID), ...number(3, 1000 + i), ...number(4, 1), ...number(5, 1000 + i)],
	]);
	const vma = { prot: 3, flags: 0x22, status: 0x201, pgoff: 0n, shmid: 0 };
	grow(join(directory, `mm-${PID}.img`), shape.mappings, (i) =>
		delimited(14, vmaEntry({ ...vma, start: at(i), end: at(i) + 4096n })),
	);
	grow(join(directory, "pstree.img"), shape.threads, (i) => number(5, 1000 + i));
	return directory;
}

const NOBODY = delimited(
	5,
	[1, 2, 3, 4, 5].flatMap((field) => number(field, 0)),
);

const repeated = (count: number, bytes: (i: number) => readonly number[]): Buffer =>
	Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.from(bytes(i))));

/** Adds fields to the only record of an image. */
function grow(path: string, count: number | undefined, field: (i: number) => readonly number[]): void {
	if (count === undefined) return;
	const image = readFileSync(path);
	const more = repeated(count, field);
	const size = Buffer.from(word(image.readUInt32LE(8) + more.length));
	writeFileSync(path, Buffer.concat([image.subarray(0, 8), size, image.subarray(12), more]));
}
