import { delimited, number } from "../witness/wire.ts";

type Bytes = readonly number[];

/** The entry of one end of a terminal in tty-info.img, as CRIU 4.2 writes it: control characters lie in the first words. */
export function terminalInfo(id: number, device: number, session: number, index = 3, ...more: Bytes[]): Bytes {
	const words = [0x157f_1c03, 0x0001_0004, 0x001a_1311, 0x160f_1712, 0xdead_beef];
	const termios = [0x500, 5, 0xbf, 0x8a3b, 0, 0, 0].flatMap((word, i) => number(i + 1, word));
	const cc = [...words, ...Array.from({ length: 14 }, () => 0x7f00_0001)].flatMap((word) => number(8, word));
	const none = [...[1, 2, 3, 4, 5, 6, 7].flatMap((field) => number(field, 0)), ...Array(19).fill(number(8, 0)).flat()];
	const size = [24, 80, 0, 0].flatMap((word, i) => number(i + 1, word));
	return [
		...[number(1, id), number(2, 1), number(3, 0), number(4, 0), number(5, 0), number(6, session)].flat(),
		...[number(7, session), number(8, device), delimited(9, [...termios, ...cc]), delimited(10, none)].flat(),
		...[delimited(11, size), delimited(12, number(1, index)), ...more].flat(),
	];
}

/** The image that they lie in. */
export const TTY_INFO = 0x59453036;
