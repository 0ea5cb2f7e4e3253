import { expect, test } from "vitest";
import { mappingsFrom } from "../../../src/catch/smaps.ts";

// As Linux 6.18 prints it, most lines left out.
const smaps = `00400000-00401000 r-xp 00002000 fe:00 1835021                            /tmp/with space\\012and newline (deleted)
Size:                  4 kB
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me sd
7f0000000000-7f0000003000 rw-p 00000000 00:00 0
Rss:                   8 kB
Anonymous:             8 kB
Swap:                  4 kB
Private_Hugetlb:       0 kB
VmFlags: rd wr mr mw me ac dd
7f0000004000-7f0000005000 ---s 00000000 00:01 12                         /dev/zero (deleted)
Rss:                   0 kB
VmFlags: sh mr mw me ms sd
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

test("each block is a mapping", () => {
	expect(mappingsFrom(smaps)).toEqual([
		{
			...{ start: 0x400000n, end: 0x401000n, prot: 5, shared: false, offset: 0x2000n, backed: true, own: 0n },
			name: "/tmp/with space\\012and newline (deleted)",
			flags: ["rd", "ex", "mr", "mw", "me", "sd"],
		},
		{
			...{
				start: 0x7f0000000000n,
				end: 0x7f0000003000n,
				prot: 3,
				shared: false,
				offset: 0n,
				backed: false,
				own: 12288n,
			},
			...{ name: "", flags: ["rd", "wr", "mr", "mw", "me", "ac", "dd"] },
		},
		{
			...{ start: 0x7f0000004000n, end: 0x7f0000005000n, prot: 0, shared: true, offset: 0n, backed: true, own: 0n },
			...{ name: "/dev/zero (deleted)", flags: ["sh", "mr", "mw", "me", "ms", "sd"] },
		},
		{
			...{ start: 0xffffffffff600000n, end: 0xffffffffff601000n, prot: 4, shared: false, offset: 0n, backed: false },
			...{ own: 0n, name: "[vsyscall]", flags: [] },
		},
	]);
});
