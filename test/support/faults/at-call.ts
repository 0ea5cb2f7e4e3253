import { beforeFsCalls } from "./fs-calls.ts";

const calls = [
	"openSync",
	"writeSync",
	"writevSync",
	"ftruncateSync",
	"mkdirSync",
	"rmdirSync",
	"renameSync",
	"unlinkSync",
	"symlinkSync",
	"linkSync",
	"chmodSync",
	"fchmodSync",
	"fchownSync",
	"lstatSync",
	"readdirSync",
] as const;

/**
 * Runs `work`, and just before its `at`th call that looks at names or changes files, `attack`: the worst moment is one of
 * them. Yields how many calls there were.
 */
export async function atCall<T>(at: number, attack: () => void, work: () => Promise<T>): Promise<{ calls: number }> {
	let count = 0;
	let attacking = false;
	const strike = (): void => {
		if (attacking) return;
		count++;
		if (count !== at) return;
		attacking = true;
		try {
			attack();
		} finally {
			attacking = false;
		}
	};
	await beforeFsCalls(calls, strike, work);
	return { calls: count };
}

/** Does something with the rights of another user, and of nobody else; what he may not do, does not happen. */
export function as(uid: number, deed: () => void): void {
	process.setegid?.(uid);
	process.seteuid?.(uid);
	try {
		deed();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === undefined) throw error;
	} finally {
		process.seteuid?.(0);
		process.setegid?.(0);
	}
}
