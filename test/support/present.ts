/** The one item of a list. */
export const only = <T>(items: readonly T[]): T => {
	if (items.length !== 1) throw new Error(`expected one, found ${items.length}`);
	return present(items[0]);
};

/** What must be there. */
export const present = <T>(item: T | undefined | null): T => {
	if (item === undefined || item === null) throw new Error("expected something");
	return item;
};
