import { defined } from "../bytes/defined.ts";
import { FdTypes, type FileEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { commonFrom, type EntryImages, type EntryWriter, partOf } from "./entries.ts";
import { accessOf, regularFile } from "./file.ts";
import type { DescriptorKind, FoundDescriptor } from "./kind.ts";
import { isOutside, slavePath, type Terminal, type TerminalPlace, type Tty } from "./terminal.ts";
import { seeTerminal } from "./tty-living.ts";
import { madeTerminals, makeTerminals, openTerminal, waitsFor } from "./tty-making.ts";

export const tty: DescriptorKind<Tty> = {
	images: { types: [FdTypes.TTY], from, to },
	living: { see: seeTerminal },
	making: {
		unopenable: ({ path, terminal }) =>
			isOutside(terminal)
				? `the terminal ${path}, whose other end none of these processes has (--shell-job gives it yours)`
				: undefined,
		open: openTerminal,
		pty: ({ place, terminal: { index } }) => (place === "current" ? undefined : index),
		files: ({ place, path, mode, flags }) =>
			place === "device" ? [{ looks: { path, ...defined({ mode }) }, use: "node", access: accessOf(flags) }] : [],
		workshop: { made: madeTerminals, make: makeTerminals, waits: waitsFor },
	},
	differs,
	shares: ({ terminal }) => ({ of: "terminals", id: terminal.id }),
	path: ({ path }) => path,
	remark: ({ place, terminal: { index } }) =>
		index === undefined || place === "slave"
			? undefined
			: `${place === "master" ? "the master of" : "that is"} ${slavePath(index)}`,
};

function from(entry: FileEntry, images: EntryImages): Tty {
	const tty = partOf(entry, entry.tty, images);
	const { tty_info_id: info, regf_id: file = 0 } = tty;
	const { place, terminal } =
		images.terminals().get(info) ??
		refuse("ERR_IMAGE_CORRUPT", {
			subject: images.subject,
			finding: `file ${entry.id} is terminal ${info}`,
			expectation: "which tty-info.img does not hold",
		});
	const { name = usualPath(place, terminal), mode } = images.entries.get(file)?.reg ?? {};
	return { kind: "tty", ...commonFrom(tty), place, path: name, ...defined({ mode }), terminal };
}

/** Images of CRIU before 1.6 do not name the file. */
const usualPath = (place: TerminalPlace, { index = 0 }: Terminal): string =>
	({ master: "/dev/ptmx", slave: slavePath(index), current: "/dev/tty", device: "/dev/console" })[place];

function to({ id, flags, place, path, mode, terminal }: Tty, writer: EntryWriter): FileEntry {
	const { owner } = writer;
	const looks = { path, ...defined({ mode }) };
	const regf_id = writer.add((fresh) => regularFile(fresh, looks, { flags, position: 0n, owner }));
	const tty_info_id = writer.terminal(place, terminal);
	return { type: FdTypes.TTY, id, tty: { id, tty_info_id, flags, fown: owner, regf_id } };
}

function differs({ place, path, terminal }: Tty, { link, info }: FoundDescriptor): string | undefined {
	const { index } = terminal;
	if (isOutside(terminal)) return undefined;
	if (place === "master") {
		const now = info.field("tty-index");
		return now === `${index}` || now === undefined ? undefined : `is the master of pty ${now}, expected ${index}`;
	}
	const expected = place === "slave" && index !== undefined ? slavePath(index) : path;
	return link.replace(/ \(deleted\)$/, "") === expected ? undefined : `is ${link}, expected ${expected}`;
}
