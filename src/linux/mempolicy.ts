/** Nodes that a kernel knows at most, and a mask of them in bytes (CONFIG_NODES_SHIFT is 10 at most). */
const NODES = 1024;
export const NODE_MASK_BYTES = NODES / 8;

/** `maxnode` of get_mempolicy(2) and its kin for a mask of {@link NODE_MASK_BYTES}: they take one away. */
export const MAX_NODE = NODES + 1;

/** A memory policy as one number: the mode with its flags in 16 bits, nodes above. 0 is the system's own. */
export const MODE_BITS = 16n;
export const MODE_MASK = (1n << MODE_BITS) - 1n;

/** MPOL_ modes as /proc/PID/numa_maps calls them (mm/mempolicy.c), and their flags. */
const modes: Readonly<Record<string, bigint>> = {
	default: 0n,
	prefer: 1n,
	bind: 2n,
	interleave: 3n,
	local: 4n,
	"prefer (many)": 5n,
	"weighted interleave": 6n,
};
const modeFlags: Readonly<Record<string, bigint>> = { static: 1n << 15n, relative: 1n << 14n, balancing: 1n << 13n };

/** `bind=static:0-1,3`; `undefined` for what this version does not know. */
export function policyFrom(text: string): bigint | undefined {
	const [, name = "", flags = "", nodes = ""] = /^([^=:]+)(?:=([^:]+))?(?::(.*))?$/.exec(text) ?? [];
	const mode = modes[name];
	const bits = flags === "" ? [] : flags.split("|").map((flag) => modeFlags[flag]);
	if (mode === undefined || bits.includes(undefined)) return undefined;
	const known = bits.reduce<bigint>((all, bit) => all | (bit ?? 0n), mode);
	return known | (maskFrom(nodes) << MODE_BITS);
}

/** `0-1,3`: bit n for n. */
export function maskFrom(list: string): bigint {
	let mask = 0n;
	for (const part of list.trim().split(",")) {
		const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
		if (first === undefined) continue;
		for (let n = Number(first); n <= Number(last); n++) mask |= 1n << BigInt(n);
	}
	return mask;
}
