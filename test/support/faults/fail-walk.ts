import { join } from "node:path";

/** The program that fails every step of a restore in turn; what it takes is said there. */
export const walker = join(import.meta.dirname, "fail-walk.mjs");

/** What it says of each. */
export interface Failure {
	readonly step: number;
	readonly code: string;
	readonly exitStatus: number;
	readonly message: string;
	/** Processes that live on. */
	readonly left: readonly number[];
	/** What else there is now, or is no more. */
	readonly changed: readonly string[];
}
