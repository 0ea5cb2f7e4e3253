import { F } from "../../linux/fcntl.ts";
import type { Arg } from "../../program/args.ts";
import type { ListDraft } from "../part.ts";

/** Moves a descriptor that landed on any number of the agent's to one that is known, in the workshop. */
export function keepAs(list: ListDraft, landed: Arg, number: number, what: string): void {
	const kept = BigInt(number);
	list.add("workshop", "fcntl", [landed, BigInt(F.DUPFD_CLOEXEC), kept], `${what} is ${number}`, {
		expect: { exactly: kept },
	});
	list.add("workshop", "close", [landed], `${what} is ${number}`);
}
