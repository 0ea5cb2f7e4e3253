import { fileOffset } from "../../../src/bytes/address.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { present } from "../present.ts";
import { fixturePath } from "./fixture-core.ts";

const UNLIMITED = (1n << 64n) - 1n;

/** The vdso that the fixtures were dumped with. */
function vdsoOfFixtures(): Uint8Array {
	const dir = openImageDir(fixturePath("counter/images"));
	try {
		const { mappings, contents } = taskFromImages(dir).memory;
		const { start, end } = present(mappings.find(({ backing }) => backing.kind === "vdso"));
		const content = present(contents.find((part) => part.start <= start && end <= part.start + part.length));
		const offset = fileOffset(content.offset + (start - content.start));
		return Uint8Array.from(present(content.source.read(offset, Number(end - start))));
	} finally {
		dir.close();
	}
}

/** A host that is always the same: the kernel of the fixtures, a processor with AVX and PKRU, generous limits. */
export const madeHost = (): HostFacts => ({
	xstate: {
		size: 2440,
		places: new Map([
			[2, { component: 2, offset: 576, size: 256 }],
			[9, { component: 9, offset: 2432, size: 8 }],
		]),
		origin: "amd",
	},
	xcr0: 0x207n,
	vdso: { image: vdsoOfFixtures(), vvarLength: 0x6000n },
	hugePages: "madvise",
	processors: 4,
	limits: Array.from({ length: 16 }, () => ({ soft: UNLIMITED, hard: UNLIMITED })),
});
