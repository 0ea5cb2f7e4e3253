import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { fileOffset } from "../../bytes/address.ts";
import { type Directory, entryIn, move, remove, syncDirectory } from "../../bytes/directory.ts";
import { createFile } from "../../bytes/sink.ts";
import { openFile } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";
import { isPlainName, JOURNAL, JOURNAL_DRAFT, STAGING } from "../own-names.ts";
import { INVENTORY } from "./new-images.ts";

/** What is left to do to a directory when all new files are written. */
export interface Journal {
	/** Files that take their place in the directory. */
	readonly moves: readonly Move[];
	/** Files of the old directory that the new one has not. */
	readonly removals: readonly string[];
	/** Whether each step waits for the disk. */
	readonly sync: boolean;
}

export interface Move {
	readonly name: string;
	/** Bytes. */
	readonly size: number;
}

const VERSION = 1;
/** Bytes: a hundred for each of a hundred thousand files. */
const LARGEST = 10_000_000;

/** Puts the journal into a staging directory. It is there completely or not at all: this is the moment that decides. */
export function writeJournal(staging: Directory, journal: Journal): void {
	const file = createFile(staging.at(JOURNAL_DRAFT), staging.nameOf(JOURNAL_DRAFT));
	try {
		file.append(Buffer.from(JSON.stringify({ version: VERSION, digest: digestOf(journal), ...journal })));
		if (journal.sync) file.sync();
	} finally {
		file.close();
	}
	move(staging, JOURNAL_DRAFT, staging, JOURNAL);
	if (journal.sync) syncDirectory(staging);
}

/** Takes a journal back of which nothing was done yet, so that what else is there means nothing. */
export const withdrawJournal = (staging: Directory): void => remove(staging, JOURNAL);

/**
 * Reads a journal and believes nothing of it: all names must be those of files in the directory itself.
 *
 * @throws NecromancerError ERR_IMAGE_UNFINISHED.
 */
export function readJournal(staging: Directory): Journal {
	const damaged = (finding: string): never =>
		refuse("ERR_IMAGE_UNFINISHED", {
			subject: staging.nameOf(JOURNAL),
			finding,
			expectation: "expected what an earlier patch had left to do",
			remedy: `dump the donor again, or remove ${STAGING} if you know the other files to be complete`,
		});
	const entry = entryIn(staging, JOURNAL);
	if (!entry?.isFile()) return damaged("is no regular file");
	if (entry.size > LARGEST) return damaged(`is ${entry.size} bytes`);
	const journal = parse(contentOf(staging, entry.size));
	return typeof journal === "string" ? damaged(journal) : journal;
}

/** The journal, or what is wrong with it. */
function parse(text: string): Journal | string {
	const value = json(text);
	if (typeof value !== "object" || value === null) return "is no JSON object";
	const { version, digest, moves, removals, sync } = value as Record<string, unknown>;
	if (version !== VERSION) return `has version ${String(version)}`;
	if (!Array.isArray(moves) || !moves.every(isMove)) return "has no list of moves";
	if (!Array.isArray(removals) || !removals.every((name) => typeof name === "string")) return "has no list of removals";
	const journal: Journal = { moves, removals, sync: sync === true };
	if (digest !== digestOf(journal)) return "does not match its digest";
	const names = [...journal.moves.map(({ name }) => name), ...journal.removals];
	const odd = names.find((name) => !isPlainName(name));
	if (odd !== undefined) return `names ${JSON.stringify(odd.slice(0, 80))}`;
	if (new Set(names).size < names.length) return "names a file twice";
	return journal.moves.some(({ name }) => name === INVENTORY) ? journal : `does not name ${INVENTORY}`;
}

const isMove = (value: unknown): value is Move => {
	if (typeof value !== "object" || value === null) return false;
	const { name, size } = value as Record<string, unknown>;
	return typeof name === "string" && Number.isSafeInteger(size);
};

function json(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** Guards against a torn file, not against a forger. */
const digestOf = ({ moves, removals, sync }: Journal): string => {
	const canonical = JSON.stringify([moves.map(({ name, size }) => [name, size]), removals, sync]);
	return createHash("sha256").update(canonical).digest("hex");
};

function contentOf(staging: Directory, size: number): string {
	const file = openFile(staging.at(JOURNAL), staging.nameOf(JOURNAL), constants.O_NOFOLLOW);
	try {
		return file.read(fileOffset(0), size)?.toString("utf8") ?? "";
	} finally {
		file.close();
	}
}
