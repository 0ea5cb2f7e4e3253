/**
 * What can be done once only, such as giving back a descriptor, whose number may be anybody's afterwards. Whoever asks again gets
 * what the first got.
 */
export function once<T>(work: () => T): () => T {
	let done: { readonly result: T } | undefined;
	return () => {
		done ??= { result: work() };
		return done.result;
	};
}
