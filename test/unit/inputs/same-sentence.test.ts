import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { defined } from "../../../src/bytes/defined.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { NecromancerError } from "../../../src/errors.ts";
import type { Finding } from "../../../src/finding.ts";
import { withAgent } from "../../../src/host/facts.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { openFiles } from "../../../src/inputs/open-files.ts";
import { goneOf, isOpened, NOTHING } from "../../../src/inputs/open-nodes.ts";
import { hostFiles } from "../../../src/patch/host-files.ts";
import type { Opener } from "../../../src/plan/opener.ts";
import type { FileSearch } from "../../../src/raise/file-search.ts";
import { checkFiles, settleMismatches } from "../../../src/restore/files.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import { buildCore } from "../../support/builders/core-builder.ts";
import { writeDonor } from "../../support/builders/donor-builder.ts";
import {
	deadCore,
	EXE,
	EXE_BUILD_ID,
	hostWith,
	LIBC,
	LIBC_BUILD_ID,
	livingDonor,
	P,
	program,
	withSegment,
	withVma,
} from "../../support/builders/pair.ts";
import { patchInto } from "../../support/builders/patching.ts";
import { openMapped } from "../../support/lives/open-mapped.ts";
import { refusal } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";
import { hasGcc } from "../../support/tools.ts";

const [ID, OTHER_ID] = ["00112233445566778899aabbccddeeff00112233", "0123456789abcdef0123456789abcdef01234567"];
const AT = 0x7f10_0018_0000n;
const DONOR_AT = 0x7f20_0018_0000n;

/** A shared object of that build-id, by a real linker. */
function compiled(path: string, buildId: string, code = "int add(int a) { return a + 1; }"): Buffer {
	const source = `${path}.c`;
	writeFileSync(source, code);
	const id = buildId === "none" ? "none" : `0x${buildId}`;
	execFileSync("gcc", ["-shared", "-nostdlib", "-fPIC", `-Wl,--build-id=${id}`, "-o", path, source]);
	rmSync(source);
	return readFileSync(path);
}

interface Scene {
	readonly path: string;
	/** What the process had mapped. */
	readonly was: Buffer;
	/** What the donor's images tell of it; it had not mapped it where this is absent. */
	readonly donors?: { readonly size?: number; readonly mode?: number; readonly buildId?: string };
}

const us = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, groups: [], effective: 0n };
const ourselves: Opener = { user: us, caller: us, same: true, setsGroups: false, permitted: 0n };

/** What each verb says of the file, once it has become what `change` makes of it. */
async function said({ path, was, donors }: Scene, change: () => void, writtenAt?: bigint) {
	const segments = [
		{ start: AT, end: AT + P, prot: 1, bytes: was.subarray(0, 4096) },
		{ start: AT + P, end: AT + 2n * P, prot: 5 },
	];
	const built = segments.reduce(
		(core, segment) => withSegment(core, segment, { path, offset: segment.start - AT }),
		deadCore(),
	);
	const core = fromBuffer("core", buildCore(built));
	change();
	const away = scratch();
	const mapFiles = new Map([EXE, LIBC].map((it) => [it, join(away, basename(it))]));
	writeFileSync(join(away, basename(EXE)), program(EXE_BUILD_ID, 0x10));
	writeFileSync(join(away, basename(LIBC)), program(LIBC_BUILD_ID, 0x20));
	const about = (findings: readonly Finding[]): string[] =>
		findings.flatMap(({ weight, code, subject, text }) => (subject === path ? [`${weight} ${code}: ${text}`] : []));
	const dead = taskFromCore(readCore(core));
	const raised = async (how: FileSearch): Promise<string[]> => {
		try {
			return about((await openMapped(dead, { mapFiles, ...how, ...defined({ writtenAt }) })).findings);
		} catch (error) {
			return [error instanceof NecromancerError ? error.message : String(error)];
		}
	};
	const donor = livingDonor();
	const vma = { start: DONOR_AT, end: DONOR_AT + P, prot: 1, flags: 2, status: 0x41, shmid: 8 };
	const lent = donors && withVma({ ...donor, files: [...donor.files, { id: 8, name: path, ...donors }] }, vma);
	const there = hostFiles();
	const host = { open: (it: string) => (it === path ? there.open(it) : hostWith().open(it)) };
	const out = join(away, "out");
	const patched = patchInto(core, writeDonor(join(away, "donor"), lent ?? donor), out, {
		host,
		...defined({ writtenAt }),
	});
	const { findings } = await patched.finally(there.close);
	const images = openImageDir(out);
	const mismatches = await withAgent(async (agent) => {
		const files = openFiles(agent, ourselves, false);
		const node = (await files.asUser([{ path, access: 0 }])).get(path);
		const opened = isOpened(node) ? files.opened(node, path) : goneOf(node ?? NOTHING, 0);
		const found = checkFiles(taskFromImages(images), () => opened).filter((it) => it.path === path);
		files.closeContents();
		return found;
	});
	images.close();
	const settled = mismatches.map((it) => refusal(() => settleMismatches([it], { fds: new Map(), missing: "error" })));
	return {
		refused: await raised({}),
		insisted: await raised({ allowMismatch: true }),
		patched: about(findings),
		restored: settled,
	};
}

const WAYS =
	"; name it with --map-file OLD=NEW, its tree with --sysroot DIR, or a directory that has it with --search DIR";
const INSIST = `${WAYS}, or insist with --allow-mismatch`;

describe.skipIf(!hasGcc())("a file that is not the one that was mapped (needs gcc)", () => {
	const made = (buildId: string) => {
		const path = join(scratch(), "lib.so");
		return { path, was: compiled(path, buildId) };
	};
	/** What raise, -c and restore make of one sentence. */
	const everywhere = (path: string, sentence: string) => ({
		refused: [`${path}: ${sentence}${INSIST}`],
		insisted: [`loss binary-differs: ${sentence}; taken all the same`],
		patched: [`caution binary-differs: ${sentence}; restore where it is as it was`],
		restored: [`ERR_FILE_MISMATCH ${path}: ${sentence}; restore where the files are as they were`],
	});

	it("is told by raise, -c and restore in one sentence where its build is another", async () => {
		const scene = made(ID);
		expect(await said(scene, () => compiled(scene.path, OTHER_ID))).toEqual(
			everywhere(scene.path, `has build-id ${OTHER_ID}, expected ${ID}`),
		);
	});

	it("is told so too where it has no build-id any more, or is no object", async () => {
		for (const change of [
			(path: string) => compiled(path, "none"),
			(path: string) => writeFileSync(path, "#!/bin/sh\n"),
		]) {
			const scene = made(ID);
			expect(await said(scene, () => change(scene.path))).toEqual(
				everywhere(scene.path, `has build-id none, expected ${ID}`),
			);
		}
	});

	it("is told so by raise and -c where only the core tells: other headers, or fewer bytes than were mapped", async () => {
		const bare = made("none");
		const other = everywhere(
			bare.path,
			"has other program headers, expected those in the core, which has no build-id of it",
		);
		const many = "int a[9000] = {1}; int add(int i) { return a[i]; }";
		expect(await said(bare, () => compiled(bare.path, "none", many))).toEqual({ ...other, restored: [] });
		const cut = made(ID);
		const short = everywhere(cut.path, "has 4000 bytes, expected more: it was mapped up to byte 8192");
		expect(await said(cut, () => truncateSync(cut.path, 4000))).toEqual({ ...short, restored: [] });
	});

	it("is told so by -c and restore where only images tell: another size or mode", async () => {
		const bare = made("none");
		const { mode } = statSync(bare.path);
		const [size, longer] = [bare.was.length, bare.was.length + 5];
		const grown = await said({ ...bare, donors: { size, mode } }, () => appendFileSync(bare.path, "extra"));
		const sized = everywhere(bare.path, `has ${longer} bytes, expected ${size}`);
		expect(grown).toMatchObject({ patched: sized.patched, restored: sized.restored });
		const closed = await said({ ...bare, donors: { size: longer, mode } }, () => chmodSync(bare.path, 0o600));
		const moded = everywhere(bare.path, `has mode 0100600, expected 0${mode.toString(8)}`);
		expect(closed).toMatchObject({ patched: moded.patched, restored: moded.restored });
	});

	it.each([
		["is not here", (path: string) => rmSync(path)],
		[
			"is no regular file here",
			(path: string) => {
				rmSync(path);
				execFileSync("mkfifo", [path]);
			},
		],
	])("%s, wherever it is asked for", async (because, change) => {
		const { path, was } = made(ID);
		const needed = `${because}, expected it: 4096 of 8192 bytes mapped of it are not in the core`;
		expect(await said({ path, was }, () => change(path))).toEqual({
			refused: [`${path}: ${needed}${WAYS}`],
			insisted: [`${path}: ${needed}${WAYS}`],
			patched: [`loss binary-missing: ${needed}; restore where it is`],
			restored: [`ERR_FILE_MISMATCH ${path}: ${because}, expected that file; restore where the files are as they were`],
		});
	});
});

it.skipIf(!hasGcc())("a file of which nothing tells a build is told so by raise and by -c (needs gcc)", async () => {
	const path = join(scratch(), "lib.so");
	const was = compiled(path, "none");
	const doubt = "the file has the same program headers, and the core has no build-id to tell more by";
	const all = await said({ path, was }, () => {});
	expect(all).toMatchObject({
		refused: [`caution file-unverified: ${doubt}`],
		patched: expect.arrayContaining([`caution file-unverified: ${doubt}`]),
		restored: [],
	});
	const later = `caution file-unverified: ${doubt}; it was changed after the core was written`;
	expect(await said({ path, was }, () => {}, 1_000_000_000n)).toMatchObject({
		refused: [later],
		patched: expect.arrayContaining([later]),
	});
});
