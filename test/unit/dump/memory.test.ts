import { expect, it } from "vitest";
import { memoryLosses } from "../../../src/dump/memory.ts";
import { policed } from "../../../src/dump/memory-policies.ts";
import type { Mapping } from "../../../src/forest/task.ts";
import { parseNumaMaps } from "../../../src/proc/numa-maps.ts";
import { parseSmaps } from "../../../src/proc/smaps.ts";

const vma = (start: number, name: string, key?: number): string =>
	`${start}000-${start + 1}000 rw-p 00000000 00:00 0 ${name}\n${key === undefined ? "" : `ProtectionKey: ${key}\n`}VmFlags: rd wr\n`;

it("says once of all mappings which had protection keys, and which had names", () => {
	const smaps = [vma(1, ""), vma(2, "[heap]", 0), vma(3, "", 1), vma(5, "", 15), vma(7, "[anon:jit]")].join("");
	expect(memoryLosses(parseSmaps(smaps)).map(({ weight, subject, text }) => `${weight} ${subject} ${text}`)).toEqual([
		"loss mapping 0x3000 and 1 more had protection keys (pkeys(7)); whoever may run in the process may read and write there as the protection says",
		"note mapping 0x7000 had names (PR_SET_VMA_ANON_NAME), which only /proc/PID/maps shows",
	]);
	expect(memoryLosses(parseSmaps(vma(1, "[heap]", 0)))).toEqual([]);
});

it("takes the policies of mappings from numa_maps, where they are not the thread's own", () => {
	const text = [
		"1000 default anon=1 dirty=1 N0=1 kernelpagesize_kB=4",
		"2000 bind:0-1,3 file=/x mapped=2",
		"3000 prefer (many):2 anon=1",
		"4000 interleave=static:1 heap",
		"5000 local",
	].join("\n");
	const policies = parseNumaMaps(text);
	expect([...policies]).toEqual([
		[0x1000n, 0n],
		[0x2000n, (0b1011n << 16n) | 2n],
		[0x3000n, (0b100n << 16n) | 5n],
		[0x4000n, (0b10n << 16n) | 0x8003n],
		[0x5000n, 4n],
	]);
	const mapping = (start: bigint, kind = "anonymous") => ({ start, backing: { kind } }) as unknown as Mapping;
	const mappings = [mapping(0x1000n), mapping(0x2000n), mapping(0x5000n), mapping(0x2000n, "vvar")];
	expect(policed(mappings, policies, 4n).map(({ attributes }) => attributes?.["memory-policy"])).toEqual([
		undefined,
		(0b1011n << 16n) | 2n,
		undefined,
		undefined,
	]);
});
