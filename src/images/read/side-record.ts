import { defined } from "../../bytes/defined.ts";
import type { FileWriters } from "../../bytes/source.ts";
import { textFromBytes } from "../../bytes/text.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import type { NecromancerAttribute, NecromancerEntry } from "../../criu/wire/generated/schema.ts";
import type { BesideEntry } from "../../descriptors/entries.ts";
import { refuse } from "../../errors.ts";
import {
	type Attributes,
	type MappingAttribute,
	mappingAttributes,
	type ProcessAttribute,
	processAttributes,
	type ThreadAttribute,
	threadAttributes,
} from "../../forest/attributes.ts";
import type { FileIdentity } from "../../forest/file-identity.ts";
import type { LossAtDump, Mapping } from "../../forest/task.ts";

/** What necromancer.img adds to CRIU's images; empty for images that CRIU made. */
export interface SideRecord {
	readonly process: Attributes<ProcessAttribute>;
	readonly thread: (tid: number) => Attributes<ThreadAttribute>;
	readonly mapping: (place: Pick<Mapping, "start" | "end">) => Attributes<MappingAttribute>;
	readonly losses: readonly LossAtDump[];
	/** What is kept of an open file description, by the id of its file entry. */
	readonly file: (id: number) => BesideEntry | undefined;
	/** Which files they were, by path. */
	readonly identities: ReadonlyMap<string, FileIdentity>;
}

/** The longest number: a processor or a node has a bit each. */
const MOST_BYTES = 8192;

/** Attributes that this version does not know are passed over. @throws NecromancerError ERR_IMAGE_CORRUPT */
export function sideRecordOf(dir: ImageDir, pid: number): SideRecord {
	const name = SIDE_RECORD;
	const entry = entryOf(dir);
	const own = entry.processes.find((process) => process.pid === pid);
	const read = <Name extends string>(
		names: Readonly<Record<Name, string>>,
		attributes: readonly NecromancerAttribute[] = [],
	): Attributes<Name> =>
		Object.fromEntries(
			attributes
				.filter((attribute) => Object.hasOwn(names, attribute.name))
				.map(({ name: attribute, value }) => [attribute, numberOf(value, `${dir.path}/${name}`, attribute)]),
		) as Attributes<Name>;
	const threads = new Map(own?.threads.map(({ tid, attributes }) => [tid, attributes]));
	const mappings = new Map(own?.mappings.map(({ start, end, attributes }) => [`${start} ${end}`, attributes]));
	const files = new Map(entry.files.map((file) => [file.id, file]));
	return {
		process: read(processAttributes, own?.attributes),
		thread: (tid) => read(threadAttributes, threads.get(tid)),
		mapping: ({ start, end }) => read(mappingAttributes, mappings.get(`${start} ${end}`)),
		losses: own?.losses.map(({ subject, text }) => ({ subject, text })) ?? [],
		file: (id) => files.get(id),
		identities: new Map(
			entry.paths.map(({ path, device, inode, birth }) => [textFromBytes(path), { device, inode, birth }]),
		),
	};
}

const SIDE_RECORD = "necromancer.img";

const entryOf = (dir: ImageDir): NecromancerEntry =>
	dir.has(SIDE_RECORD) ? dir.one(SIDE_RECORD, "necromancer") : { processes: [], files: [], paths: [], writers: [] };

/**
 * The users that images name as their sources, in addition to those who can write the files: such as the owner of the core that
 * they were patched from. It can only add users, so a forged list gains nothing.
 */
export const writersTold = (dir: ImageDir): readonly FileWriters[] =>
	entryOf(dir).writers.map(({ uid, group, anybody }) => ({ uid, anybody, ...defined({ group }) }));

function numberOf(bytes: Uint8Array, subject: string, name: string): bigint {
	if (bytes.length > MOST_BYTES)
		refuse("ERR_IMAGE_CORRUPT", {
			subject,
			finding: `${name} is a number of ${bytes.length} bytes`,
			expectation: `expected at most ${MOST_BYTES}`,
		});
	return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** The property, or nothing for an empty object. */
export const unlessEmpty = <T extends object>(attributes: T): { readonly attributes?: T } =>
	Object.keys(attributes).length === 0 ? {} : { attributes };
