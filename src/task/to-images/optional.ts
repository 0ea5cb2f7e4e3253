/** An optional field as a value to spread: left out where it would say what its absence means, unless `base` says something. */
export const unless = <K extends string>(
	usual: number,
	base: { readonly [_ in K]?: unknown } | undefined,
	name: K,
	value: number,
): { readonly [_ in K]?: number } =>
	value === usual && base?.[name] === undefined ? {} : ({ [name]: value } as { readonly [_ in K]: number });
