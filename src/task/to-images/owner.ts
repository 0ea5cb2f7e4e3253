import type { FownEntry } from "../../criu/wire/generated/schema.ts";
import type { SignalOwner } from "../files.ts";
import type { Credentials } from "../task.ts";

/** Nobody gets SIGIO: `fown_entry` is required and all zero means unset. */
export const NO_OWNER: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

/** CRIU becomes the user it names to set the owner: the kernel checks later signals against that. */
export const fownEntry = (
	owner: SignalOwner | undefined,
	{ uid, euid }: Pick<Credentials, "uid" | "euid">,
): FownEntry =>
	owner === undefined ? NO_OWNER : { uid, euid, signum: owner.signal, pid_type: owner.type, pid: owner.pid };
