import type { ByteSource } from "../bytes/source.ts";

/** What shows that a file is the one that a process had, the strongest first. */
export type Proof =
	/** Its linker's digest of it. */
	| "build-id"
	/** Its first page, with headers and offsets of sections: tells builds apart that have no build-id (musl-gcc, some of Go and Rust). */
	| "first-page"
	/** ELF header and program headers. */
	| "headers"
	/** Device, inode and birth: the very file, whatever was written to it since. */
	| "identity"
	/** Size or mode, as images tell them. */
	| "look";

/** Whether a file of this host is the one that a process had. */
export type Verdict = Same | Plausible | Different | Gone;

export interface Same {
	readonly kind: "same";
	readonly proof: Proof;
}

/** Nothing contradicts it, nothing proves it. */
export interface Plausible {
	readonly kind: "plausible";
	/** Bytes of mappings behind its end. */
	readonly short: bigint;
}

/** It is another one: "has 5 bytes", "expected 4". */
export interface Different {
	readonly kind: "different";
	readonly finding: string;
	readonly expectation: string;
}

/** There is none that can be judged. */
export interface Gone {
	readonly kind: "gone";
	/** `absent`: nothing is there; `closed`: its user may not use it; `redirected`: another user's link leads there. */
	readonly why: "absent" | "closed" | "redirected" | "irregular" | "unopened";
	/** In words: "is not here". */
	readonly because: string;
}

/** A file that is open, and what the judge said of it. */
export interface JudgedFile {
	readonly source: ByteSource;
	readonly verdict: Verdict;
}

/** Whether it is known to be the same build: what it says of the program's code and variables is so. */
export const isSameBuild = (verdict: Verdict): boolean =>
	verdict.kind === "same" && (verdict.proof === "build-id" || verdict.proof === "first-page");

/** Whether it is known not to be the process's file. */
export const isOther = (verdict: Verdict): verdict is Different | Gone =>
	verdict.kind === "different" || verdict.kind === "gone";
