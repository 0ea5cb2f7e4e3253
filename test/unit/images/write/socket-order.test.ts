import { expect, test } from "vitest";
import type { FileEntry } from "../../../../src/criu/wire/generated/schema.ts";
import { socketsInOrder } from "../../../../src/images/write/socket-order.ts";

const socket = (ino: number, peer: number): FileEntry => ({ id: ino, type: 5, usk: { ino, peer } }) as FileEntry;

test.each([
	[
		"whoever is connected comes behind whom it is connected to",
		[
			[1, 2],
			[2, 3],
			[3, 0],
		],
		[3, 2, 1],
	],
	[
		"two that are connected to each other stay as they are",
		[
			[1, 2],
			[2, 1],
		],
		[1, 2],
	],
	[
		"and a third behind both",
		[
			[3, 1],
			[1, 2],
			[2, 1],
		],
		[1, 2, 3],
	],
	[
		"one that is connected to itself is the first of those",
		[
			[1, 9],
			[9, 9],
		],
		[9, 1],
	],
	[
		"a peer that is not there is none",
		[
			[1, 8],
			[2, 0],
		],
		[2, 1],
	],
] as const)("%s", (_, sockets, order) => {
	const file = { id: 50, type: 1 } as FileEntry;
	const sorted = socketsInOrder([...sockets.map(([ino, peer]) => socket(ino, peer)), file]);
	expect(sorted.flatMap(({ id, usk }) => (usk === undefined ? [] : [id]))).toEqual(order);
	expect(sorted).toContain(file);
});
