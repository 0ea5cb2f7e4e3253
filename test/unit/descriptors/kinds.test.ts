import { describe, expect, it } from "vitest";
import { FdTypes } from "../../../src/criu/wire/generated/schema.ts";
import type { Eventfd } from "../../../src/descriptors/eventfd.ts";
import { eventfd } from "../../../src/descriptors/eventfd.ts";
import type { DescriptorKind } from "../../../src/descriptors/kind.ts";
import { type Description, kindOf, kindOfType, kinds, pathOf } from "../../../src/descriptors/kinds.ts";

describe("the table of kinds", () => {
	it("has each of CRIU's types once", () => {
		const types = Object.values(kinds).flatMap(({ images }) => images.types);
		expect(new Set(types).size).toBe(types.length);
		// two that files.img never has: they are marks of CRIU's own while it runs
		const { CTL_TTY, AUTOFS_PIPE, ...ofFiles } = FdTypes;
		expect([...types].sort((a, b) => a - b)).toEqual(Object.values(ofFiles).sort((a, b) => a - b));
		expect([CTL_TTY, AUTOFS_PIPE, 99].map(kindOfType)).toEqual([kinds.unknown, kinds.unknown, kinds.unknown]);
	});

	it("knows a kind by its description and by its type", () => {
		for (const name of Object.keys(kinds) as (keyof typeof kinds)[])
			expect(kindOf({ kind: name } as Description)).toBe(kinds[name]);
		expect(kindOfType(FdTypes.EVENTFD)).toBe(eventfd);
	});

	it("says by which file something was opened", () => {
		const common = { id: 1, flags: 0 };
		expect(pathOf({ ...common, kind: "fifo", file: { path: "/fifo" }, pipe: { id: 1 } })).toBe("/fifo");
		expect(pathOf({ ...common, kind: "tty", place: "current", path: "/dev/tty", terminal: { id: 0x500 } })).toBe(
			"/dev/tty",
		);
		expect(pathOf({ ...common, kind: "eventfd", counter: 0n })).toBeUndefined();
	});

	it("does not compile where a kind forgets a direction", () => {
		const { images, living, making, differs } = eventfd;
		// @ts-expect-error: from a living process
		const noLiving: DescriptorKind<Eventfd> = { images, making, differs };
		// @ts-expect-error: to images
		const noImage: DescriptorKind<Eventfd> = { images: { types: [], from: images.from }, living, making, differs };
		// @ts-expect-error: to a process
		const noSteps: DescriptorKind<Eventfd> = { images, living, making: { unopenable: () => undefined }, differs };
		// @ts-expect-error: what is verified
		const unverified: DescriptorKind<Eventfd> = { images, living, making };
		expect([noLiving, noImage, noSteps, unverified]).toHaveLength(4);
	});
});
