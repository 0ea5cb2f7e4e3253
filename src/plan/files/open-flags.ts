import { O, O_ACCMODE } from "../../linux/open.ts";

/** Flags that a description keeps for its whole life; the rest is only for the moment of opening it. */
const KEPT =
	O_ACCMODE | O.APPEND | O.NONBLOCK | O.SYNC | O.DIRECT | O.LARGEFILE | O.DIRECTORY | O.NOFOLLOW | O.NOATIME | O.PATH;

/** How a description of these flags is opened anew: nothing is created or cut, no terminal taken. */
export function openFlags(flags: number): number {
	// a file that was made with O_TMPFILE and linked later is no directory, though the flag contains that one
	const unlinked = (flags & O.TMPFILE) === O.TMPFILE ? O.DIRECTORY : 0;
	return (flags & KEPT & ~unlinked) | O.NOCTTY;
}
