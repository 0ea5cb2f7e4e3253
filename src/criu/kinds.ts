import { type ExtraRule, extras } from "./extra.ts";
import type { Messages } from "./wire/generated/schema.ts";

/*
 * Every kind of image that CRIU 4.2 writes: its magic (criu/include/magic.h), its file names (criu/image-desc.c) and its
 * records. Kinds whose records we have no declaration for are carried as they are, like raw ones.
 */

/** First word of every image but the inventory. */
export const COMMON_MAGIC = 0x54564319;

/** First word of statistics, which are no part of the process. */
export const SERVICE_MAGIC = 0x55105940;

interface KindFacts {
	/** The word that names the kind. */
	readonly magic: number;
	readonly files: readonly RegExp[];
	/** The message of each record. */
	readonly record: keyof Messages;
	/** The message of the first record, where it is another one. */
	readonly head?: keyof Messages;
	/** Carries {@link SERVICE_MAGIC} instead of {@link COMMON_MAGIC}. */
	readonly service?: boolean;
	/** CRIU reads one record and no more. */
	readonly single: boolean;
	/** What lies behind a record, not covered by its length. */
	readonly extra?: ExtraRule;
}

const table = {
	inventory: { magic: 0x58313116, files: [/^inventory\.img$/], record: "inventory_entry", single: true },
	pstree: { magic: 0x50273030, files: [/^pstree\.img$/], record: "pstree_entry", single: false },
	core: { magic: 0x55053847, files: [/^core-\d+\.img$/], record: "core_entry", single: true },
	ids: { magic: 0x54432030, files: [/^ids-\d+\.img$/], record: "task_kobj_ids_entry", single: true },
	mm: { magic: 0x57492820, files: [/^mm-\d+\.img$/], record: "mm_entry", single: true },
	fs: { magic: 0x51403912, files: [/^fs-\d+\.img$/], record: "fs_entry", single: true },
	pagemap: {
		magic: 0x56084025,
		files: [/^pagemap-\d+\.img$/, /^pagemap-shmem-\d+\.img$/],
		record: "pagemap_entry",
		head: "pagemap_head",
		single: false,
	},
	fdinfo: { magic: 0x56213732, files: [/^fdinfo-\d+\.img$/], record: "fdinfo_entry", single: false },
	files: { magic: 0x56303138, files: [/^files\.img$/], record: "file_entry", single: false },
	memfd: { magic: 0x48453499, files: [/^memfd\.img$/], record: "memfd_inode_entry", single: false },
	seccomp: { magic: 0x64413049, files: [/^seccomp\.img$/], record: "seccomp_entry", single: true },
	timens: { magic: 0x43114433, files: [/^timens-\d+\.img$/], record: "timens_entry", single: true },
	cgroup: { magic: 0x59383330, files: [/^cgroup\.img$/], record: "cgroup_entry", single: true },
	"pipes-data": {
		magic: 0x56453709,
		files: [/^pipes-data\.img$/],
		record: "pipe_data_entry",
		single: false,
		extra: extras.pipe,
	},
	"fifo-data": {
		magic: 0x59333054,
		files: [/^fifo-data\.img$/],
		record: "pipe_data_entry",
		single: false,
		extra: extras.pipe,
	},
	"sk-queues": {
		magic: 0x56264026,
		files: [/^sk-queues\.img$/],
		record: "sk_packet_entry",
		single: false,
		extra: extras.packet,
	},
	"tcp-stream": {
		magic: 0x51465506,
		files: [/^tcp-stream-[\da-f]+\.img$/],
		record: "tcp_stream_entry",
		single: true,
		extra: extras.stream,
	},
	"ghost-file": {
		magic: 0x52583605,
		files: [/^ghost-file-[\da-f]+\.img$/],
		record: "ghost_file_entry",
		single: true,
		extra: extras.ghost,
	},
	"remap-fpath": { magic: 0x59133954, files: [/^remap-fpath\.img$/], record: "remap_file_path_entry", single: false },
	"tty-info": { magic: 0x59453036, files: [/^tty-info\.img$/], record: "tty_info_entry", single: false },
	"tty-data": { magic: 0x59413026, files: [/^tty-data\.img$/], record: "tty_data_entry", single: false },
	filelocks: { magic: 0x54323616, files: [/^filelocks\.img$/], record: "file_lock_entry", single: false },
	cpuinfo: { magic: 0x61404013, files: [/^cpuinfo\.img$/], record: "cpuinfo_entry", single: true },
	apparmor: { magic: 0x59423047, files: [/^apparmor\.img$/], record: "apparmor_entry", single: true },
	"bpfmap-file": { magic: 0x57506142, files: [/^bpfmap-file\.img$/], record: "bpfmap_file_entry", single: false },
	"bpfmap-data": {
		magic: 0x64324033,
		files: [/^bpfmap-data\.img$/],
		record: "bpfmap_data_entry",
		single: false,
		extra: extras.bpfmap,
	},
	pidfd: { magic: 0x54435556, files: [/^pidfd\.img$/], record: "pidfd_entry", single: false },
	utsns: { magic: 0x54473203, files: [/^utsns-\d+\.img$/], record: "utsns_entry", single: true },
	userns: { magic: 0x55474906, files: [/^userns-\d+\.img$/], record: "userns_entry", single: true },
	pidns: { magic: 0x61157326, files: [/^pidns-\d+\.img$/], record: "pidns_entry", single: true },
	"ipcns-var": { magic: 0x53115007, files: [/^ipcns-var-\d+\.img$/], record: "ipc_var_entry", single: true },
	"ipcns-shm": {
		magic: 0x46283044,
		files: [/^ipcns-shm-\d+\.img$/],
		record: "ipc_shm_entry",
		single: false,
		extra: extras.sharedMemory,
	},
	"ipcns-msg": {
		magic: 0x55453737,
		files: [/^ipcns-msg-\d+\.img$/],
		record: "ipc_msg_entry",
		single: false,
		extra: extras.messages,
	},
	"ipcns-sem": {
		magic: 0x59573019,
		files: [/^ipcns-sem-\d+\.img$/],
		record: "ipc_sem_entry",
		single: false,
		extra: extras.semaphores,
	},
	mountpoints: { magic: 0x55563928, files: [/^mountpoints-\d+\.img$/], record: "mnt_entry", single: false },
	/** Ours, beside CRIU's: what those have no place for. */
	necromancer: { magic: 0x4e454352, files: [/^necromancer\.img$/], record: "necromancer_entry", single: true },
	stats: {
		magic: 0x57093306,
		files: [/^stats-(?:dump|restore)$/],
		record: "stats_entry",
		single: true,
		service: true,
	},
} as const satisfies Readonly<Record<string, KindFacts>>;

export type KindName = keyof typeof table;

export interface ImageKind extends KindFacts {
	readonly name: KindName;
}

/** The message that the records of a kind are. */
export type RecordOf<K extends KindName> = Messages[(typeof table)[K]["record"]];

/** Every kind whose records are declared, by name. */
export const imageKinds = Object.fromEntries(
	Object.entries<KindFacts>(table).map(([name, facts]) => [name, { name, ...facts }]),
) as unknown as { readonly [K in KindName]: ImageKind };

/** The kind of an image by its file name; `undefined` when it is raw or none we know. */
export const kindOfFile = (fileName: string): ImageKind | undefined =>
	Object.values(imageKinds).find(({ files }) => files.some((pattern) => pattern.test(fileName)));

/** The words an image of that kind starts with. */
export const magicsOf = ({ name, magic, service }: ImageKind): readonly number[] =>
	name === "inventory" ? [magic] : [service ? SERVICE_MAGIC : COMMON_MAGIC, magic];

/** What kind of image a magic belongs to, for messages: kinds without a declaration and of the past too. */
export const nameOfMagic = (magic: number): string | undefined =>
	Object.values(imageKinds).find((kind) => kind.magic === magic)?.name ?? undeclared.get(magic);

const undeclared: ReadonlyMap<number, string> = new Map([
	[0x55933752, "netns"],
	[0x57373951, "netdev"],
	[0x67343323, "binfmt-misc"],
	[0x49353943, "autofs"],
	[0x57004059, "irmap-cache"],
	[0x54023547, "creds"],
	[0x54123737, "vmas"],
	[0x50363636, "reg-files"],
]);

export interface RawKind {
	readonly name: string;
	readonly files: readonly RegExp[];
}

/** Images without a header, in formats of others. */
const rawKinds: readonly RawKind[] = [
	{ name: "pages", files: [/^pages-\d+\.img$/] },
	{
		name: "network configuration",
		files: [/^(?:ifaddr|route6?|rule|ip6?tables|nftables|netns-ct|netns-exp)-\d+\.img$/],
	},
	{ name: "archive of a tmpfs", files: [/^tmpfs-(?:dev-)?\d+\.tar\.gz\.img$/] },
];

/** The raw kind of an image by its file name. */
export const rawKindOfFile = (fileName: string): RawKind | undefined =>
	rawKinds.find(({ files }) => files.some((pattern) => pattern.test(fileName)));
