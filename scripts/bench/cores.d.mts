/** The images of another run of a fixture's program. */
export function donorOf(name: string): string;
export function writeLargeCore(
	path: string,
	size: number,
	content: "random" | "zero" | "hole",
	name?: "counter" | "counter-static",
): void;
