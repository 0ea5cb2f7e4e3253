import { describe, expect, it } from "vitest";
import { COMMON_MAGIC, imageKinds, kindOfFile, magicsOf, nameOfMagic, rawKindOfFile } from "../../../src/criu/kinds.ts";

describe("kindOfFile", () => {
	it.each([
		["inventory.img", "inventory"],
		["core-5730.img", "core"],
		["pagemap-5730.img", "pagemap"],
		["pagemap-shmem-12.img", "pagemap"],
		["ghost-file-1f.img", "ghost-file"],
		["tcp-stream-abc12.img", "tcp-stream"],
		["timens-0.img", "timens"],
		["ipcns-shm-11.img", "ipcns-shm"],
		["stats-dump", "stats"],
		["stats-restore", "stats"],
	])("%s is of kind %s", (file, kind) => {
		expect(kindOfFile(file)?.name).toBe(kind);
		expect(rawKindOfFile(file)).toBeUndefined();
	});

	it.each([
		["pages-1.img", "pages"],
		["route6-9.img", "network configuration"],
		["ip6tables-9.img", "network configuration"],
		["tmpfs-dev-9.tar.gz.img", "archive of a tmpfs"],
	])("%s is raw: %s", (file, name) => {
		expect(kindOfFile(file)).toBeUndefined();
		expect(rawKindOfFile(file)?.name).toBe(name);
	});

	it.each(["core-.img", "core-1.img.bak", "xcore-1.img", "netns-9.img", "creds-5.img", "dump.log"])(
		"%s is none",
		(file) => {
			expect(kindOfFile(file)).toBeUndefined();
			expect(rawKindOfFile(file)).toBeUndefined();
		},
	);
});

describe("magics", () => {
	it("name one kind each", () => {
		const kinds = Object.values(imageKinds);
		expect(new Set(kinds.map(({ magic }) => magic)).size).toBe(kinds.length);
		for (const { name, magic } of kinds) expect(nameOfMagic(magic)).toBe(name);
	});

	it("stand alone in the inventory, behind a common word elsewhere", () => {
		expect(magicsOf(imageKinds.inventory)).toEqual([0x58313116]);
		expect(magicsOf(imageKinds.core)).toEqual([COMMON_MAGIC, 0x55053847]);
		expect(magicsOf(imageKinds.stats)).toEqual([0x55105940, 0x57093306]);
	});

	it("of kinds we do not read have a name too", () => {
		expect(nameOfMagic(0x55933752)).toBe("netns");
		expect(nameOfMagic(1)).toBeUndefined();
	});
});
