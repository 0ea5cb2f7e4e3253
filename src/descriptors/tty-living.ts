import { majorOf, minorOf, S_IFCHR, S_IFMT } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import type { Look, OpenDescriptor } from "./ask.ts";
import { nowhere } from "./file.ts";
import type { Sighting } from "./kind.ts";
import { indexOfSlave, placeOfDevice, slavePath, type TerminalPlace, type Tty } from "./terminal.ts";

/** The names of the master of every pty of /dev/pts. */
const MASTERS = ["/dev/ptmx", "/dev/pts/ptmx"];

export function seeTerminal(open: OpenDescriptor, look: Look): Sighting<Tty> | undefined {
	const { link, stat } = open;
	if (!link.startsWith("/") || (Number(stat.mode) & S_IFMT) !== S_IFCHR) return undefined;
	const place = placeOfDevice(majorOf(stat.rdev), minorOf(stat.rdev));
	if (place === undefined) return undefined;
	const { path, deleted } = withoutDeleted(link);
	if (!isUsual(open, place, path, look))
		return nowhere(`the terminal ${link}, of another mount of devpts than /dev/pts`);
	if (look.isElsewhere(open, place))
		return nowhere(`the terminal ${path}, whose other end is not among what is dumped (--shell-job leaves it there)`);
	if (deleted && place !== "slave") return nowhere(`the deleted terminal ${path}`);
	return {
		describe: async (common, ask) => ({
			...{ kind: "tty", ...common, place, path, mode: Number(stat.mode) },
			terminal: await ask.terminal(open, place),
		}),
	};
}

/** folklore: the slave of a pty whose master is closed has no name any more. */
function isUsual({ link, stat }: OpenDescriptor, place: TerminalPlace, path: string, look: Look): boolean {
	if (place === "master") return MASTERS.includes(link);
	if (place !== "slave") return true;
	return path === slavePath(indexOfSlave(stat.rdev)) && (path !== link || look.leadsTo(link, stat));
}
