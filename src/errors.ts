/**
 * Every way this program refuses, as one table: stable code, exit status, and what it means. The types, README's table
 * and a test derive from it.
 */
export const errorTable = {
	ERR_USAGE: { exit: 2, meaning: "the command line is not understood" },
	ERR_IO: { exit: 1, meaning: "the operating system refused to read or write a file" },
	ERR_CORE_MAGIC: { exit: 3, meaning: "not an ELF file" },
	ERR_CORE_KIND: { exit: 3, meaning: "an ELF file, but not an x86-64 Linux core" },
	ERR_CORE_TRUNCATED: { exit: 3, meaning: "the core ends before what its headers promise" },
	ERR_CORE_PARTIAL: { exit: 3, meaning: "the core was written without memory that resurrection needs" },
	ERR_CORE_CORRUPT: { exit: 3, meaning: "the core contradicts itself" },
	ERR_CORE_TOO_LARGE: { exit: 3, meaning: "the core unpacks to more bytes than it may" },
	ERR_NOTE_SIZE: { exit: 3, meaning: "a note of the core has the wrong size" },
	ERR_NOTE_MISSING: { exit: 3, meaning: "the core lacks a note that resurrection needs" },
	ERR_IMAGE_MAGIC: { exit: 4, meaning: "not a CRIU image, or one of another kind than its name says" },
	ERR_IMAGE_TRUNCATED: { exit: 4, meaning: "an image ends inside a record" },
	ERR_IMAGE_CORRUPT: { exit: 4, meaning: "an image or its records contradict themselves" },
	ERR_IMAGE_VERSION: { exit: 4, meaning: "images of a layout this version does not know" },
	ERR_IMAGE_MISSING: { exit: 4, meaning: "the image directory lacks a file it needs" },
	ERR_IMAGE_UNFINISHED: { exit: 4, meaning: "an earlier patch of the directory was cut short" },
	ERR_IMAGE_LOCKED: { exit: 4, meaning: "another necromancer is patching the directory" },
	ERR_DONOR_MISMATCH: { exit: 4, meaning: "the donor is not the program that died" },
	ERR_DONOR_AMBIGUOUS: { exit: 4, meaning: "the donor holds several processes and none is chosen" },
	ERR_BINARY_MISMATCH: { exit: 5, meaning: "an executable or library differs from the one that died" },
	ERR_BINARY_CORRUPT: { exit: 5, meaning: "an executable or library is damaged" },
	ERR_BINARY_MISSING: { exit: 5, meaning: "a mapped file is gone and the core does not hold its bytes" },
	ERR_FILE_MISMATCH: { exit: 5, meaning: "a file the process had is gone or not as the images say" },
	ERR_PID_TAKEN: { exit: 6, meaning: "a process or thread id that the dead process had is in use" },
	ERR_HOST: { exit: 6, meaning: "this host lacks what a restore needs" },
	ERR_UNSUPPORTED: { exit: 6, meaning: "the process held something that cannot be restored yet" },
	ERR_TASK_UNRUNNABLE: { exit: 6, meaning: "the process had registers or memory that no process can run with" },
	ERR_UNTRUSTED: { exit: 1, meaning: "more rights are asked for than whoever wrote it can be believed about" },
	ERR_STEP_FAILED: { exit: 7, meaning: "a step of the restore failed; everything was undone" },
	ERR_RESTORE_FAILED: { exit: 7, meaning: "the process did not come back as planned; everything was undone" },
	ERR_DIED_AGAIN: { exit: 7, meaning: "the process was killed again as soon as it went on" },
	ERR_OUTPUT_EXISTS: { exit: 1, meaning: "the output directory is not empty" },
	ERR_OWNER: { exit: 1, meaning: "a file or directory is another user's, or another user leads to it" },
	ERR_CHANGED: { exit: 1, meaning: "somebody changed a file while it was read, or a directory while it was written" },
	ERR_PROCESS: { exit: 1, meaning: "a process to be dumped is not there, or is not one that can be" },
} as const satisfies Readonly<Record<string, { readonly exit: number; readonly meaning: string }>>;

export type ErrorCode = keyof typeof errorTable;

/** What a refusal says: `subject: finding, expectation; remedy`. */
export interface Refusal {
	/** What it is about: a file name, a step, an option. */
	readonly subject: string;
	/** What was found there. Lower case, addresses in hex, sizes in decimal. */
	readonly finding: string;
	/** What was expected instead. */
	readonly expectation?: string;
	/** What the user can do. */
	readonly remedy?: string;
}

/** A refusal with its code. Anything else that is thrown is a bug of ours. */
export class NecromancerError extends Error implements Refusal {
	override readonly name = "NecromancerError";
	readonly code: ErrorCode;
	readonly subject: string;
	readonly finding: string;
	readonly expectation?: string;
	readonly remedy?: string;

	constructor(code: ErrorCode, refusal: Refusal, options?: ErrorOptions) {
		super(wording(refusal), options);
		this.code = code;
		this.subject = refusal.subject;
		this.finding = refusal.finding;
		if (refusal.expectation !== undefined) this.expectation = refusal.expectation;
		if (refusal.remedy !== undefined) this.remedy = refusal.remedy;
	}

	/** The process exit status this refusal ends with. */
	get exitStatus(): number {
		return errorTable[this.code].exit;
	}
}

/** Throws a {@link NecromancerError}. */
export const refuse = (code: ErrorCode, refusal: Refusal, options?: ErrorOptions): never => {
	throw new NecromancerError(code, refusal, options);
};

/** Throws one refusal for one fault or several of a kind, so that all can be mended at once. `what`: the kind, plural. */
export const refuseAll = (
	code: ErrorCode,
	what: string,
	faults: readonly (Pick<Refusal, "subject" | "finding"> & { readonly expectation: string })[],
	remedy: string,
): never => {
	const [only] = faults;
	if (only !== undefined && faults.length === 1) return refuse(code, { ...only, remedy });
	const shown = faults.slice(0, MOST_FAULTS).map((fault) => clip(sentence(fault), LONGEST_FAULT));
	const more = faults.length > MOST_FAULTS ? `, and ${faults.length - MOST_FAULTS} more` : "";
	const finding = `${shown.join(", ")}${more}`;
	return refuse(code, { subject: `${faults.length} ${what}`, finding, remedy });
};

/** What is said of one fault among several. More of them than anybody mends by hand are counted. */
const sentence = ({ subject, finding, expectation }: Pick<Refusal, "subject" | "finding" | "expectation">): string =>
	`${subject} ${finding} (${expectation})`;
const MOST_FAULTS = 16;
const LONGEST_FAULT = 512;

/** Characters of each part of a message. Names come from files, and may be megabytes. */
const LONGEST_PART = 1024;

/** The message of a refusal; of each of its parts at most so many characters, beginning and end. */
export const wording = ({ subject, finding, expectation, remedy }: Refusal, most = LONGEST_PART): string => {
	const part = (before: string, text: string | undefined): string =>
		text === undefined ? "" : before + clip(text, most);
	return part("", subject) + part(": ", finding) + part(", ", expectation) + part("; ", remedy);
};

/** Leaves the middle of a long text out. */
function clip(text: string, most: number): string {
	if (text.length <= most) return text;
	const tail = most >> 2;
	return `${text.slice(0, most - tail)}…(${text.length - most} characters)…${text.slice(-tail)}`;
}
