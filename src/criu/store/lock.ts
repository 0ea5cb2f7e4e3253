import { type Directory, list, remove } from "../../bytes/directory.ts";
import { once } from "../../bytes/once.ts";
import { openDirectory } from "../../bytes/open-directory.ts";
import { createFile } from "../../bytes/sink.ts";
import { NecromancerError, refuse } from "../../errors.ts";
import { LOCK } from "../own-names.ts";
import { fateOf, type Holder, holderIn, ourselves, textOf } from "./holder.ts";

/** The right to change a directory. */
export interface Lock {
	/** Held open as long as the lock is. */
	readonly directory: Directory;
	release(): void;
}

/**
 * Takes the lock of a directory. Each contender first puts down a file that names it and then looks for those of others:
 * of two at once at least one sees the other and gives way, so there are never two holders (both may be refused). What a
 * dead process left is removed by whoever comes by; no moment exists at which a stale lock could be taken over twice.
 *
 * @throws NecromancerError ERR_IMAGE_LOCKED, naming the holder; ERR_IO when the directory cannot be written; what
 *   {@link openDirectory} throws.
 */
export function lock(path: string): Lock {
	const directory = openDirectory(path);
	try {
		return lockOn(directory);
	} catch (cause) {
		directory.close();
		throw cause;
	}
}

/** The name of the file that is our lock. */
export const ownLock = (us: Holder = ourselves()): string => `${LOCK}${textOf(us)}`;

/** The same of a directory that is open; it is closed with the lock. */
export function lockOn(directory: Directory): Lock {
	const us = ourselves();
	const own = ownLock(us);
	try {
		createFile(directory.at(own), directory.name).close();
	} catch (cause) {
		if (cause instanceof NecromancerError && (cause.cause as NodeJS.ErrnoException)?.code === "EEXIST") {
			return locked(directory, own, us, us);
		}
		throw cause;
	}
	try {
		for (const name of list(directory)) {
			const holder = name.startsWith(LOCK) && name !== own ? holderIn(name.slice(LOCK.length)) : undefined;
			if (holder === undefined) continue;
			if (fateOf(holder, us) !== "dead") locked(directory, name, holder, us);
			remove(directory, name);
		}
	} catch (cause) {
		remove(directory, own);
		throw cause;
	}
	return {
		directory,
		release: once(() => {
			try {
				remove(directory, own);
			} finally {
				directory.close();
			}
		}),
	};
}

function locked(directory: Directory, file: string, holder: Holder, us: Holder): never {
	const known = fateOf(holder, us) === "alive";
	return refuse("ERR_IMAGE_LOCKED", {
		subject: directory.name,
		finding: `is being patched by pid ${holder.pid}${known ? "" : ` of another pid namespace or host (${holder.host})`}`,
		remedy: known ? "wait for it to end" : `when it no longer runs, remove ${file} there`,
	});
}
