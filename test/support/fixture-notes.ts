import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** One note of a fixture's core, cut out by hand: no code under test takes part. */
export interface RawNote {
	readonly owner: string;
	readonly type: number;
	readonly desc: Buffer;
}

const PT_NOTE = 4;

/** All notes of `fixtures/NAME/core.gz`, in file order. */
export function fixtureNotes(name: string): RawNote[] {
	const core = gunzipSync(readFileSync(new URL(`../../fixtures/${name}/core.gz`, import.meta.url)));
	const phoff = Number(core.readBigUInt64LE(32));
	const notes: RawNote[] = [];
	for (let i = 0; i < core.readUInt16LE(56); i++) {
		const phdr = phoff + i * 56;
		if (core.readUInt32LE(phdr) !== PT_NOTE) continue;
		let at = Number(core.readBigUInt64LE(phdr + 8));
		const end = at + Number(core.readBigUInt64LE(phdr + 32));
		while (at < end) {
			const [namesz, descsz, type] = [core.readUInt32LE(at), core.readUInt32LE(at + 4), core.readUInt32LE(at + 8)];
			const desc = at + 12 + ((namesz + 3) & ~3);
			notes.push({
				owner: core.toString("latin1", at + 12, at + 12 + namesz - 1),
				type,
				desc: core.subarray(desc, desc + descsz),
			});
			at = desc + ((descsz + 3) & ~3);
		}
	}
	return notes;
}
