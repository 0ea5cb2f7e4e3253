import { constants } from "node:fs";
import { beforeFsCalls } from "./fs-calls.ts";

/** Thrown by every call that would change a file once the process is "dead". */
export class Dead extends Error {}

const sync = [
	"openSync",
	"writeSync",
	"writevSync",
	"ftruncateSync",
	"mkdirSync",
	"rmdirSync",
	"renameSync",
	"unlinkSync",
	"linkSync",
	"symlinkSync",
	"chmodSync",
	"fchmodSync",
	"fchownSync",
] as const;

/**
 * Runs `work` in a world where the process dies at its `at`th call that changes files: that one and all later ones,
 * those of clean-up included, have no effect. Yields how many there were (`at` too large: none died).
 */
export async function dyingAt(at: number, work: () => Promise<unknown>): Promise<{ died: boolean; calls: number }> {
	let calls = 0;
	const count = (): void => {
		calls++;
		if (calls >= at) throw new Dead();
	};
	const die = (name: string, args: readonly unknown[]): void => {
		if (name !== "openSync" || (Number(args[1]) & constants.O_CREAT) !== 0) count();
	};
	try {
		await beforeFsCalls(sync, die, work);
		return { died: false, calls };
	} catch (error) {
		if (!causedByDeath(error)) throw error;
		return { died: true, calls };
	}
}

const causedByDeath = (error: unknown): boolean =>
	error instanceof Dead || (error instanceof Error && causedByDeath(error.cause));
