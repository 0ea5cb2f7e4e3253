import { expect } from "vitest";
import { NecromancerError } from "../../src/errors.ts";

/** What a call refuses with, as `CODE message`. Fails when it returns, or throws anything but a refusal. */
export function refusal(call: () => unknown): string {
	try {
		call();
	} catch (error) {
		expect(error).toBeInstanceOf(NecromancerError);
		if (error instanceof NecromancerError) return `${error.code} ${error.message}`;
	}
	return expect.fail("expected a refusal");
}

/** The same for what fails later. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
	const settled = await promise.then(
		() => () => undefined,
		(error: unknown) => () => {
			throw error;
		},
	);
	return refusal(settled);
}
