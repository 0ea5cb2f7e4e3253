import type { FileEntry } from "../../criu/wire/generated/schema.ts";

/**
 * File entries, those of unix sockets behind whom they are connected to. folklore: CRIU 4.2 finds a peer that comes later only where
 * each of the two is the other's (criu/sk-unix.c, "Peer … unresolved"): a datagram socket is connected to whom it likes.
 */
export function socketsInOrder(entries: readonly FileEntry[]): readonly FileEntry[] {
	const peers = new Map(entries.flatMap(({ usk }) => (usk === undefined ? [] : [[usk.ino, usk.peer]])));
	/** How many are met on the way from one to whom it is connected, until that ends or goes round. */
	const distance = ({ usk }: FileEntry): number => {
		const met = new Set<number>();
		for (let at = usk?.ino ?? 0; at !== 0 && !met.has(at); at = peers.get(at) ?? 0) met.add(at);
		return met.size;
	};
	const distances = new Map(entries.map((entry) => [entry, distance(entry)]));
	return [...entries].sort((a, b) => (distances.get(a) ?? 0) - (distances.get(b) ?? 0));
}
