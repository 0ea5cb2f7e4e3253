/** Of some members, those that have a value: an optional member is absent, and never `undefined` (exactOptionalPropertyTypes). */
export const defined = <const T extends object>(members: T): Defined<T> =>
	Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Defined<T>;

type Defined<T> = {
	[K in keyof T as undefined extends T[K] ? never : K]: T[K];
} & {
	[K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
