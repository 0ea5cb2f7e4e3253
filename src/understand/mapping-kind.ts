import { hex } from "../bytes/address.ts";
import { lengthOf } from "../bytes/range.ts";
import { isKernelPath } from "../core/files.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { PartialMapping } from "../forest/partial-task.ts";
import type { Backing, Mapping } from "../forest/task.ts";
import { MAP, MAP_HUGE_SHIFT, PROT_WRITE } from "../linux/mman.ts";
import type { Objects } from "./objects.ts";

interface Kind {
	readonly backing: Backing;
	readonly shared: boolean;
	readonly flags?: number;
}

/**
 * What a mapping is, from the name the kernel gave it in NT_FILE. A core does not say whether a file mapping was shared;
 * the donor's mapping of the same bytes does, and private is the rule otherwise. `undefined` drops the mapping.
 */
export function kindOfMapping(
	mapping: PartialMapping,
	counterpart: Mapping | undefined,
	objects: Objects,
	report: (finding: Finding) => void,
): Kind | undefined {
	if (mapping.kernel !== undefined) return { backing: { kind: mapping.kernel }, shared: false };
	const { file } = mapping;
	if (file === undefined) return { backing: { kind: "anonymous" }, shared: false };
	const subject = `mapping ${hex(mapping.start)}`;
	const part = objects.partOf(mapping);
	if (part !== undefined) {
		const reader = counterpart?.backing.kind === "object" && counterpart.backing.writable === false;
		const writable = reader && ((mapping.prot ?? 0) & PROT_WRITE) === 0 ? ({ writable: false } as const) : {};
		return { backing: { kind: "object", ...part, ...writable }, shared: counterpart?.shared ?? true };
	}
	// a private mapping of /dev/zero is anonymous memory by another name
	if (file.path === "/dev/zero") return { backing: { kind: "anonymous" }, shared: false };
	if (file.deleted && file.path === "/anon_hugepage") {
		report(caution("mapping-kind", subject, "huge pages of unknown size; 2 MiB pages are asked for"));
		return { backing: { kind: "anonymous" }, shared: false, flags: MAP.HUGETLB | (21 << MAP_HUGE_SHIFT) };
	}
	if (file.path.startsWith("/[aio]") || !file.path.startsWith("/") || isKernelPath(file.path)) {
		report(loss("mapping-dropped", subject, `${file.path}: kernel or device memory, which a core cannot bring back`));
		return undefined;
	}
	if (file.deleted) {
		const lost = lengthOf(mapping) - mapping.held;
		const why = file.absent === true ? "is not here" : "was deleted";
		report(
			lost > 0n
				? loss(
						"contents-lost",
						subject,
						`${file.path} ${why} and ${lost} of ${lengthOf(mapping)} bytes are not in the core; they read as zeros`,
					)
				: note("file-gone", subject, `${file.path} ${why}; all its bytes are in the core and become private memory`),
		);
		return { backing: { kind: "anonymous" }, shared: false };
	}
	const shared = counterpart?.shared ?? false;
	const writable = counterpart?.backing.kind === "file" ? counterpart.backing.writable : false;
	if (counterpart === undefined && ((mapping.prot ?? 0) & PROT_WRITE) !== 0 && mapping.held === 0n)
		report(
			caution(
				"mapping-kind",
				subject,
				`${file.path}: shared or private is not in a core, and no donor tells; private is assumed`,
			),
		);
	return { backing: { kind: "file", path: file.path, offset: file.offset, writable }, shared };
}
