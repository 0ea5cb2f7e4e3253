import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { fixtureCore, fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { patchInto } from "../support/builders/patching.ts";
import { writeImagesOf } from "../support/builders/written-images.ts";
import { hasTool } from "../support/tools.ts";
import { type ReadImages, readImages } from "../support/witness/image-reader.ts";
import { varint } from "../support/witness/wire.ts";

const hasProtoc = hasTool("protoc");

describe.skipIf(!hasProtoc)(`what protoc finds in our images${hasProtoc ? "" : " (needs protoc)"}`, () => {
	const protos = fileURLToPath(new URL("../../proto/", import.meta.url));
	const folder = mkdtempSync(join(tmpdir(), "necromancer-protoc-"));
	afterAll(() => rmSync(folder, { recursive: true, force: true }));

	const written: ReadImages[] = [];
	beforeAll(async () => {
		const clock = { given: 10n ** 18n };
		for (const name of fixtureNames) {
			const core = fromBuffer("core", fixtureCore(name));
			const done = await patchInto(core, fixturePath(`${name}/images`), join(folder, name), { clock });
			written.push(done.images);
			const dir = openImageDir(fixturePath(`${name}/images`));
			const out = join(folder, `${name}-anew`);
			const origin = { boot: "a-boot", offsets: { monotonic: -1n, boottime: 5n } };
			const clocks = { monotonic: 5n, boottime: 10n ** 18n, realtime: 10n ** 18n, witness: "read", origin } as const;
			await writeImagesOf({ ...taskFromImages(dir), clocks }, out);
			dir.close();
			written.push(readImages(out));
		}
	});

	it.each([
		["core_entry", /^core-/],
		["mm_entry", /^mm-/],
		["pstree_entry", /^pstree/],
		["file_entry", /^files/],
		["pagemap_entry", /^pagemap-/],
		["timens_entry", /^timens-/],
		["task_kobj_ids_entry", /^ids-/],
		["fs_entry", /^fs-/],
		["fdinfo_entry", /^fdinfo-/],
	])("no unknown number in any %s", (type, pattern) => {
		const imports = readdirSync(protos).map((file) => `import "${file}";`);
		const list = `syntax = "proto2";\n${imports.join("\n")}\nmessage all { repeated ${type} item = 1; }\n`;
		writeFileSync(join(folder, `${type}.proto`), list);
		const records = written.flatMap((images) =>
			images.names
				.filter((file) => pattern.test(file))
				.flatMap((file) => recordsOf(images.raw(file)).slice(type === "pagemap_entry" ? 1 : 0)),
		);
		expect(records.length).toBeGreaterThanOrEqual(fixtureNames.length);
		const input = Buffer.concat(records.flatMap((record) => [Buffer.of(10, ...varint(record.length)), record]));
		const arguments_ = [`-I${protos}`, `-I${folder}`, "--decode=all", `${type}.proto`];
		const run = spawnSync("protoc", arguments_, { input, maxBuffer: 1 << 28, encoding: "utf8" });
		expect(run.status, run.stderr).toBe(0);
		expect(run.stdout.match(/^item \{/gm)).toHaveLength(records.length);
		expect(run.stdout.match(/^\s*\d+[:{ ].*$/m)).toBe(null);
	});
});

/** By the framing alone. None of these has anything behind its records. */
function recordsOf(image: Buffer): Buffer[] {
	const records: Buffer[] = [];
	for (let at = 8; at < image.length; at += 4 + image.readUInt32LE(at))
		records.push(image.subarray(at + 4, at + 4 + image.readUInt32LE(at)));
	return records;
}
