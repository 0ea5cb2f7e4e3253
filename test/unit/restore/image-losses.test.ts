import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ImageDir } from "../../../src/criu/image-dir.ts";
import type { Files } from "../../../src/forest/files.ts";
import { forestOf } from "../../../src/forest/forest.ts";
import { rootOf } from "../../../src/forest/whole.ts";
import type { ImageLosable } from "../../../src/restore/image-losable.ts";
import { withoutUnrestorable } from "../../../src/restore/image-losses.ts";
import { smallTask } from "../../support/builders/small-task.ts";
import { refusal } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";

/** Images as criu dump makes them of a process in a container: labels of namespaces, remapped directories. */
function images(ids: object, remapped: readonly number[] = []): ImageDir {
	const kinds: Readonly<Record<string, object>> = {
		"inventory.img": { root_ids: { net_ns_id: 2, uts_ns_id: 4, mnt_ns_id: 5 } },
		"fs-100.img": { cwd_id: 7, root_id: 8 },
		"ids-100.img": ids,
	};
	return {
		has: (name: string) => name in kinds || (name === "remap-fpath.img" && remapped.length > 0),
		one: (name: string) => kinds[name],
		image: () => ({ records: remapped.map((orig_id) => ({ value: { orig_id, remap_type: 1 } })) }),
	} as unknown as ImageDir;
}

const task = (files: Partial<Files> = {}) => {
	const made = smallTask();
	return forestOf([{ ...made, identity: { ...made.identity, pid: 100 }, files: { ...made.files, ...files } }]);
};
const shared = { net_ns_id: 2, uts_ns_id: 4, mnt_ns_id: 5 };
const none: ReadonlySet<ImageLosable> = new Set();

describe("what CRIU's images have around a process", () => {
	test("is nothing where it shared the namespaces of whoever dumped it", () => {
		const plain = task();
		expect(withoutUnrestorable(images(shared), plain, none)).toEqual({ forest: plain, findings: [] });
		expect(withoutUnrestorable(images({}), plain, none).findings).toEqual([]);
	});

	test("is refused by name, all at once", () => {
		const dir = images({ ...shared, net_ns_id: 9, mnt_ns_id: 10 }, [7]);
		expect(refusal(() => withoutUnrestorable(dir, task(), none))).toBe(
			"ERR_UNSUPPORTED process 100: had its mount namespace, its network namespace, its working directory, which was deleted, which does not come back; restore it with criu restore, or go on without: --allow-lost mnt,net,cwd",
		);
	});

	test("is made again where it is a deleted directory of which images tell, unless it is to be lost", () => {
		const inGhost = task({ cwd: "/gone", cwdGhost: 1 });
		expect(withoutUnrestorable(images(shared, [7]), inGhost, none)).toEqual({ forest: inGhost, findings: [] });
		const { forest } = withoutUnrestorable(images(shared, [7]), inGhost, new Set(["cwd"] as const));
		expect(rootOf(forest).files).toMatchObject({ cwd: "/" });
		expect(rootOf(forest).files.cwdGhost).toBeUndefined();
	});

	test("is a loss where it is allowed, and directories the nearest that are there", () => {
		const there = scratch();
		mkdirSync(join(there, "kept"));
		const cwd = join(there, "kept/gone/deeper");
		const { forest, findings } = withoutUnrestorable(
			images({ ...shared, uts_ns_id: 9 }, [7, 8]),
			task({ cwd, root: "/gone" }),
			new Set(["uts", "cwd", "root"] as const),
		);
		const { files: made } = rootOf(forest);
		expect([made.cwd, made.root]).toEqual([join(there, "kept"), "/"]);
		expect(findings.map(({ weight, subject, text }) => `${weight} ${subject}: ${text}`)).toEqual([
			"loss process 100: had its UTS namespace (names of host and domain); it has ours when it comes back",
			"loss process 100: had its working directory, which was deleted; it comes back in the nearest directory that is there",
			"loss process 100: had its root directory, which was deleted; it comes back in the nearest directory that is there",
		]);
	});
});
