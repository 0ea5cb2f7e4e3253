/**
 * An optional field as a value to spread. Where its value is what absence would mean, a `base` that leaves it out goes on
 * doing so; a fresh record says it, since a restorer takes absence for "as I am".
 */
export const unless = <K extends string>(
	usual: number,
	base: { readonly [_ in K]?: unknown } | undefined,
	name: K,
	value: number,
): { readonly [_ in K]?: number } =>
	value === usual && base !== undefined && base[name] === undefined
		? {}
		: ({ [name]: value } as { readonly [_ in K]: number });
