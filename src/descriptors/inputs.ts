import type { ByteSource } from "../bytes/source.ts";
import type { InputFile } from "../program/args.ts";
import type { MappedFile } from "./mapped-file.ts";

/**
 * What a process needs a file of the host for, and so how it is open before the process exists. `node`: O_PATH, to be opened
 * by the process with flags of its own, or to be entered; `link`: the same of what may be a symbolic link itself. `read` and
 * `write`: to be mapped, O_RDONLY and O_RDWR. `terminal`: the master of the pty whose slave has that path; it is made, and only the
 * workshop has it.
 */
export type FileUse = "node" | "link" | "read" | "write" | "terminal";

/** A file of the host that a process needs. */
export interface NeededFile {
	readonly path: string;
	readonly use: FileUse;
	/** As whom it is opened: the process's user, or whoever makes the process, who named it. */
	readonly by: "user" | "caller";
	/** Which user, where processes have several. */
	readonly whose?: string;
}

/** A file of the host that a description is made of. */
export interface HostFile {
	/** As it was. */
	readonly looks: MappedFile;
	readonly use: "node" | "link";
	/** What its user does with it: R_OK, W_OK of access(2). */
	readonly access: number;
	/** It had lost that name. */
	readonly unlinked?: boolean;
	/** The descriptor itself is of another file, which only watches it. */
	readonly watched?: true;
	/** Something opens it besides the process under the descriptor's number. */
	readonly apart?: true;
}

/** What the workshop makes: an open description, by a key of the plan's. */
export interface MadeInput {
	readonly key: string;
	/** For people. */
	readonly name: string;
}

export interface ProcessInput extends InputFile {
	/** Its user may not open it himself: the restorer opens it for the process. */
	readonly lent: boolean;
}

/** Files that are open already, to whoever makes descriptors. */
export interface OpenInputs {
	/** @throws RangeError for a file that was not said to be needed: a bug. */
	file(path: string, use: FileUse, by?: NeededFile["by"]): ProcessInput;
	/** What the bytes of a source come from. @throws RangeError for one that nothing was said to come from: a bug. */
	source(source: ByteSource): InputFile;
	/** @throws RangeError for what the workshop does not make: a bug. */
	made(key: string): InputFile;
}
