import { damaged } from "../support/builders/image-damage.ts";
import type { Chance } from "./chance.ts";

const odd = [
	...[0n, 1n, 2n, 7n, 0x7fn, 0x80n, 0xffn, 4095n, 4096n, 65535n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n],
	...[1n << 40n, (1n << 47n) - 4096n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 4096n, (1n << 64n) - 1n],
];

/** Bytes with one to six changes that know nothing of what the bytes mean. */
export function mutated(bytes: Buffer, { nat, pick }: Chance): Buffer {
	let out: Buffer = Buffer.from(bytes);
	// headers are where it hurts
	const place = (): number => (nat(2) === 0 ? nat(Math.min(out.length, 1024)) : nat(out.length));
	for (let left = 1 + nat(6); left > 0 && out.length > 0; left--) {
		const at = place();
		const word = Buffer.alloc(8);
		word.writeBigUInt64LE(pick(odd));
		switch (nat(8)) {
			case 0:
				out[at] = nat(256);
				break;
			case 1:
				out[at] = (out[at] ?? 0) ^ (1 << nat(8));
				break;
			case 2:
				word.copy(out, at & ~3, 0, 4);
				break;
			case 3:
				word.copy(out, at & ~7);
				break;
			case 4:
				out = out.subarray(0, at);
				break;
			case 5:
				out = Buffer.concat([out.subarray(0, at), out.subarray(at + nat(64))]);
				break;
			case 6:
				out = Buffer.concat([out.subarray(0, at + nat(400)), out.subarray(at)]);
				break;
			default:
				out.copyWithin(at & ~7, place() & ~7, out.length);
		}
	}
	return out;
}

/** An image with other fields, or other bytes. */
export function mutatedImage(bytes: Buffer, chance: Chance): Buffer {
	const { nat, pick } = chance;
	if (nat(4) === 0) return mutated(bytes, chance);
	const edits = Array.from({ length: 1 + nat(4) }, () => ({
		pick: nat(1 << 20),
		how: pick(["odd", "odd", "odd", "near", "near", "drop", "twice", "bytes"] as const),
		value: pick(odd),
	}));
	return damaged(bytes, edits);
}
