import { readdirSync, readFileSync } from "node:fs";
import type { HostFacts } from "../plan/host-facts.ts";

/** The switch of /sys/kernel/mm/transparent_hugepage/enabled; without one, never. */
export function hugePagesMode(
	text = read("/sys/kernel/mm/transparent_hugepage/enabled"),
): "always" | "madvise" | "never" {
	const [, mode] = /\[(always|madvise)\]/.exec(text) ?? [];
	return mode === "always" || mode === "madvise" ? mode : "never";
}

const BALLOON = "/sys/bus/virtio/drivers/virtio_balloon";

/** VIRTIO_BALLOON_F_REPORTING (include/uapi/linux/virtio_balloon.h). */
const REPORTING = 5;

/**
 * Whether this is a virtual machine with free page reporting: its host takes free memory back.
 *
 * folklore: blocks of 2 MiB and more are reported, so huge pages come from memory that the host has to provide again: 3 s for a
 * GiB (Linux 6.18, a cloud VM), where 4 KiB pages, from smaller blocks, take 0.4 s.
 *
 * @param features of each balloon: a digit for each bit, the lowest first (/sys/bus/virtio/.../features).
 */
export const reportsFreePages = (features: readonly string[] = balloons()): boolean =>
	features.some((digits) => digits[REPORTING] === "1");

function balloons(): readonly string[] {
	try {
		return readdirSync(BALLOON)
			.filter((name) => name.startsWith("virtio"))
			.map((name) => read(`${BALLOON}/${name}/features`));
	} catch {
		return [];
	}
}

/** How filling may use huge pages. */
export const hugePagesWorth = (): HostFacts["hugePages"] => (reportsFreePages() ? "never" : hugePagesMode());

function read(path: string): string {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return "";
	}
}
