import { hex } from "../bytes/address.ts";
import { type Finding, loss, note } from "../finding.ts";
import type { SmapsEntry } from "../proc/smaps.ts";

/** What mappings had and will not have: each kind is told once, with the first of them. */
export function memoryLosses(entries: readonly SmapsEntry[]): readonly Finding[] {
	const told = (found: readonly SmapsEntry[], finding: typeof loss, text: string): readonly Finding[] => {
		const [first, ...others] = found;
		if (first === undefined) return [];
		const more = others.length === 0 ? "" : ` and ${others.length} more`;
		return [finding("attribute", `mapping ${hex(first.start)}${more}`, text)];
	};
	return [
		...told(
			entries.filter(({ protectionKey }) => protectionKey !== 0),
			loss,
			"had protection keys (pkeys(7)); whoever may run in the process may read and write there as the protection says",
		),
		...told(
			entries.filter(({ name }) => /^\[anon(?:_shmem)?:/.test(name)),
			note,
			"had names (PR_SET_VMA_ANON_NAME), which only /proc/PID/maps shows",
		),
	];
}
