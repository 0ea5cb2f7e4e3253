import { FdTypes, type FileEntry } from "../criu/wire/generated/schema.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { CLONE } from "../linux/sched.ts";
import type { OpenNamespace } from "../proc/namespaces.ts";
import { pathDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, type EntryImages, partOf, reserved } from "./entries.ts";
import { nowhere } from "./file.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import { addNew, type FdAllocator, openFlags, type Slot } from "./steps.ts";

/** A file of /proc/PID/ns (namespaces(7)). */
export interface Namespace extends DescriptionCommon {
	readonly kind: "namespace";
	/** Which of its own namespaces it is of; absent where it is of another's. */
	readonly name?: OpenNamespace;
}

const flagOf: Readonly<Record<OpenNamespace, number>> = {
	...{ net: CLONE.NEWNET, uts: CLONE.NEWUTS, cgroup: CLONE.NEWCGROUP },
};

const isOpenNamespace = (name: string): name is OpenNamespace => Object.hasOwn(flagOf, name);

/** Pipes, sockets and pidfds are called alike. */
const LINK = /^(?!pipe:|socket:|pidfd:)([a-z_]+):\[\d+\]$/;

const OTHER = "a namespace that it does not live in";

export const namespace: DescriptorKind<Namespace> = {
	images: {
		types: [FdTypes.NS],
		from,
		to: (description, writer) => {
			const { id, flags, name } = description;
			if (name === undefined) return reserved(id, OTHER, writer);
			return { type: FdTypes.NS, id, nsf: { id, flags, ns_id: writer.namespace(name), ns_cflag: flagOf[name] } };
		},
	},
	living: {
		see: ({ link }, { namespace }) => {
			const [, name] = LINK.exec(link) ?? [];
			if (name === undefined) return undefined;
			if (!isOpenNamespace(name) || namespace(name) !== link) return nowhere(`the namespace ${link}`);
			return { describe: (common) => ({ kind: "namespace", ...common, name }) };
		},
	},
	making: { unopenable: ({ name }) => (name === undefined ? OTHER : undefined), open },
	differs: ({ name }, found) => linked(`${name}:[`)(undefined, found),
	remark: ({ name }) => (name === undefined ? undefined : `of its own namespace ${name}`),
};

function from(entry: FileEntry, images: EntryImages): Namespace {
	const part = partOf(entry, entry.nsf, images);
	const { ns_id, ns_cflag } = part;
	const name = Object.keys(flagOf)
		.filter(isOpenNamespace)
		.find((name) => flagOf[name] === ns_cflag && images.namespace(name) === ns_id);
	return { kind: "namespace", ...commonFrom(part), ...(name === undefined ? {} : { name }) };
}

/** It finds its own; which that is, is known when it is there. */
function open(slot: Slot<Namespace>, fds: FdAllocator): void {
	const { number, content } = slot;
	const path = pathDatum(`path of descriptor ${number}`, `/proc/self/ns/${content.name}`);
	const what = `descriptor ${number}, its namespace ${content.name}`;
	fds.actor.asUser();
	addNew(fds, slot, "openat", (closing) => [AT_FDCWD, path, BigInt(openFlags(content.flags) | closing)], what);
}
