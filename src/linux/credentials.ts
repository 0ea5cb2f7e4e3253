import { i32, layout, u32 } from "../bytes/layout.ts";

/** Capabilities (include/uapi/linux/capability.h) in order of their bits. */
// biome-ignore format: a table
const names = [
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
] as const;

/** Their bits, by name. */
export const CAP = Object.fromEntries(names.map((name, bit) => [name, bit])) as Readonly<
	Record<(typeof names)[number], number>
>;

/** The user and the group of what has no owner here (`overflowuid`, include/linux/highuid.h): all rights they have, everybody has. */
export const NOBODY = 65534;

/** How many there are as of Linux 5.9, which brought the last. */
export const CAPABILITIES = names.length;

/** All of them. */
export const ALL_CAPABILITIES = (1n << BigInt(CAPABILITIES)) - 1n;

/** `CAP_SYS_ADMIN` for 21, `capability 50` for one without a name. */
export const capabilityName = (bit: number): string =>
	names[bit] === undefined ? `capability ${bit}` : `CAP_${names[bit]}`;

/** Whether a set has one: bit n for capability n. */
export const includesCapability = (set: bigint, bit: number): boolean => ((set >> BigInt(bit)) & 1n) === 1n;

/** The capabilities of a set, ascending: bit n for capability n. */
export const capabilitiesIn = (set: bigint): number[] =>
	Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => includesCapability(set, bit));

/** `_LINUX_CAPABILITY_VERSION_3`: two of {@link capUserData}, the low 32 capabilities first. */
export const CAPABILITY_VERSION_3 = 0x2008_0522;

export const capUserHeader = layout("__user_cap_header_struct", {
	version: u32,
	/** A thread; 0 for the caller. */
	pid: i32,
});

export const capUserData = layout("__user_cap_data_struct", { effective: u32, permitted: u32, inheritable: u32 });

/** What capset(2) reads after its header. */
export function encodeCapabilities(sets: Readonly<Record<keyof typeof capUserData.fields, bigint>>): Uint8Array {
	const bytes = new Uint8Array(2 * capUserData.size);
	for (const half of [0, 1]) {
		const word = (set: bigint): number => Number(BigInt.asUintN(32, set >> BigInt(32 * half)));
		const { effective, permitted, inheritable } = sets;
		bytes.set(
			capUserData.encode({
				effective: word(effective),
				permitted: word(permitted),
				inheritable: word(inheritable),
			}),
			half * capUserData.size,
		);
	}
	return bytes;
}

/** SECBIT_NO_SETUID_FIXUP (include/uapi/linux/securebits.h): changing user ids leaves the capabilities alone. */
export const SECBIT_NO_SETUID_FIXUP = 4;

/** Operations of keyctl(2) (include/uapi/linux/keyctl.h). */
export const KEYCTL = { GET_KEYRING_ID: 0, JOIN_SESSION_KEYRING: 1, LINK: 8, READ: 11 } as const;

/** Keyrings by what they are to the caller, as signed numbers. */
export const KEYRING = { THREAD: -1n, PROCESS: -2n, SESSION: -3n, USER: -4n } as const;
