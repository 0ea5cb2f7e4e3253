import { refuse } from "../../errors.ts";
import { type Finding, loss } from "../../finding.ts";
import type {
	Description,
	Epoll,
	Eventfd,
	Fifo,
	Files,
	MemfdDescription,
	OpenFile,
	OtherDescription,
	PipeEnd,
	Signalfd,
	SocketPairEnd,
	Timerfd,
} from "../../forest/files.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";

/** What is done about descriptors that cannot be opened as they were. */
export interface FilePolicy {
	/** Files that take the place of a descriptor's, by number; also of one that the dead process did not have. */
	readonly fds: ReadonlyMap<number, string>;
	/** `null` puts /dev/null in the place of whatever else cannot be opened. */
	readonly missing: "error" | "null";
	/** Directories to make files without a name in, by `GhostFile` id; where it was, for the others. */
	readonly ghosts?: ReadonlyMap<number, string>;
	/** Descriptors of the task whose files whoever calls us named: opened as he, not as the process's user. */
	readonly byCaller?: ReadonlySet<number>;
}

/** One descriptor to be. Slots with equal keys share one description. */
export interface FdSlot {
	readonly number: number;
	readonly closeOnExec: boolean;
	readonly key: string;
	readonly content: Openable | Substitute;
	/** Its file is named by whoever calls us. */
	readonly byCaller?: boolean;
}

/** What this version can open again. */
export type Openable =
	| OpenFile
	| PipeEnd
	| SocketPairEnd
	| Fifo
	| Eventfd
	| Epoll
	| Signalfd
	| Timerfd
	| MemfdDescription;

/** Another file in the place of a descriptor's. */
export interface Substitute {
	readonly kind: "substitute";
	readonly path: string;
	readonly flags: number;
}

/**
 * What each number shall refer to, ascending.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for all at once that cannot be opened and have no substitute.
 */
export function slotsOf({ descriptors }: Files, policy: FilePolicy, report: (finding: Finding) => void): FdSlot[] {
	const refused: { readonly number: number; readonly what: string }[] = [];
	const slots = descriptors.map(({ number, closeOnExec, description }): FdSlot => {
		const named = policy.fds.get(number);
		const known = openable(description);
		if (named === undefined && typeof known !== "string")
			return {
				...{ number, closeOnExec, key: `${description.id}`, content: known },
				...(policy.byCaller?.has(number) === true ? { byCaller: true } : {}),
			};
		if (named === undefined) {
			if (policy.missing === "error") refused.push({ number, what: `${known}` });
			else report(loss("replaced", `descriptor ${number}`, `was ${known}; /dev/null takes its place`));
		}
		const path = named ?? "/dev/null";
		const flags = description.flags & (O_ACCMODE | O.APPEND | O.NONBLOCK);
		const content: Substitute = { kind: "substitute", path, flags };
		return { number, closeOnExec, key: `${description.id}=${path}`, content, byCaller: named !== undefined };
	});
	if (refused.length > 0) refuseAll(refused);
	const known = new Set(descriptors.map(({ number }) => number));
	for (const [number, path] of policy.fds)
		if (!known.has(number))
			slots.push({
				number,
				closeOnExec: false,
				key: `new ${number}`,
				content: { kind: "substitute", path, flags: O.RDWR },
				byCaller: true,
			});
	return slots.sort((a, b) => a.number - b.number);
}

/** The highest number that will be taken, -1 for none. */
export const highestNumber = ({ descriptors }: Files, { fds }: FilePolicy): number =>
	[...descriptors.map(({ number }) => number), ...fds.keys()].reduce((most, number) => Math.max(most, number), -1);

/** The description, or what it was if this version cannot open that. */
function openable(description: Description): Openable | string {
	switch (description.kind) {
		case "file":
			if (!description.unlinked || description.ghost !== undefined) return description;
			return `the deleted file ${description.path}`;
		case "fifo":
			return description.unlinked === true ? `the deleted FIFO ${description.file.path}` : description;
		case "pipe":
		case "socket-pair":
		case "eventfd":
		case "epoll":
		case "signalfd":
		case "timerfd":
		case "memfd":
			return description;
		case "tty":
			return description.path === undefined ? "a terminal" : `the terminal ${description.path}`;
		default:
			return otherNames[description.kind];
	}
}

const otherNames: Readonly<Record<Exclude<OtherDescription["kind"], "tty">, string>> = {
	"inet-socket": "an internet socket",
	"unix-socket": "a unix socket",
	"packet-socket": "a packet socket",
	"netlink-socket": "a netlink socket",
	inotify: "an inotify instance",
	fanotify: "a fanotify group",
	namespace: "a namespace",
	tun: "a network tunnel",
	external: "a file of a CRIU plugin",
	"bpf-map": "a BPF map",
	pidfd: "a pidfd",
	unknown: "a file of an unknown kind",
};

function refuseAll(refused: readonly { readonly number: number; readonly what: string }[]): never {
	const [only] = refused;
	const numbers = refused.map(({ number }) => number).join(", ");
	const one = only !== undefined && refused.length === 1;
	return refuse("ERR_UNSUPPORTED", {
		subject: one ? `descriptor ${numbers}` : `descriptors ${numbers}`,
		finding: one ? `was ${only.what}` : refused.map(({ number, what }) => `${number} was ${what}`).join(", "),
		expectation: "which this version cannot restore",
		remedy: `name another file with --fd ${only?.number ?? "N"}=PATH, or let /dev/null take its place with --missing-fds null`,
	});
}
