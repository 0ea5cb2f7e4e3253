import { existsSync } from "node:fs";
import { afterEach } from "vitest";
import type { Restored } from "../../src/restore/restore.ts";
import { hasGcc, need } from "../support/tools.ts";
import type { Stage } from "./stage.ts";

/**
 * What an attacker does: before the agent looks at the files as the user; when they are open, and it is not yet understood what is
 * to be made; and when the process is about to be made.
 */
export const moments = { judging: (): void => {}, understanding: (): void => {}, opening: (): void => {} };

/** For vi.mock: the module with a function of it before which a moment comes. */
export async function before<M extends object>(
	moment: keyof typeof moments,
	name: keyof M,
	original: () => Promise<M>,
): Promise<M> {
	const real = await original();
	const call = real[name] as (...args: unknown[]) => unknown;
	return {
		...real,
		[name]: (...args: unknown[]) => {
			moments[moment]();
			return call(...args);
		},
	};
}

export const able = need("root and gcc", process.getuid?.() === 0 && hasGcc());
export const needs = able ? "" : " (needs root and gcc)";

/** What a test has made; each test's end is its end. */
export interface Made {
	stage?: Stage | undefined;
	alive?: Restored | undefined;
}

export function cleanedUp(): Made {
	const made: Made = {};
	afterEach(async () => {
		Object.assign(moments, { judging: () => {}, understanding: () => {}, opening: () => {} });
		const { alive, stage } = made;
		Object.assign(made, { alive: undefined, stage: undefined });
		if (alive !== undefined) {
			if (existsSync(`/proc/${alive.pid}`)) process.kill(alive.pid, "SIGKILL");
			await alive.release();
		}
		stage?.close();
	});
	return made;
}
