import fc from "fast-check";
import { expect, it } from "vitest";
import { classesOf } from "../../src/trace/kcmp.ts";
import { present } from "../support/present.ts";

// What only pairs can be asked about is sorted into classes, by as few questions as sorting takes.

/** Something with an identity that nobody is shown. */
interface Thing {
	readonly place: number;
	readonly self: number;
}

const lists = fc
	.array(fc.array(fc.nat(30), { maxLength: 60 }), { maxLength: 6 })
	.map((all) => all.map((list, i): Thing[] => list.map((self, place) => ({ place: i * 100 + place, self }))));

it("finds what is the same, each class in the order of its list, with few questions", async () => {
	await fc.assert(
		fc.asyncProperty(lists, async (all) => {
			let asked = 0;
			const classes = await classesOf(all, async (pairs) => {
				asked += pairs.length;
				return pairs.map(([a, b]) => (a.self === b.self ? "same" : a.self < b.self ? "less" : "greater"));
			});
			const places = (things: readonly Thing[]): string => things.map(({ place }) => place).join(" ");
			const wanted = all.flatMap((list) => {
				const own = [...new Set(list.map(({ self }) => self))];
				return own.map((self) => places(list.filter((thing) => thing.self === self)));
			});
			expect(classes.map(places).sort()).toEqual(wanted.sort());
			for (const list of all) expect(asked).toBeLessThanOrEqual(all.flat().length * Math.max(1, list.length, 31));
		}),
	);
});

it("asks of a thousand in a row, each by itself, some ten questions a thing; in ten rounds", async () => {
	const row = Array.from({ length: 1000 }, (_, i) => i);
	let [asked, rounds] = [0, 0];
	const classes = await classesOf([row], async (pairs) => {
		asked += pairs.length;
		rounds++;
		return pairs.map(([a, b]) => (a < b ? "less" : "greater"));
	});
	expect(classes).toHaveLength(1000);
	expect(asked).toBeLessThan(10_000);
	expect(rounds).toBe(10);
});

it("takes what looks the same for the same where the kernel does not tell", async () => {
	const classes = await classesOf([["a", "b"], ["c"]], async (pairs) => pairs.map(() => undefined));
	expect([...classes].sort((one, other) => (present(one[0]) < present(other[0]) ? -1 : 1))).toEqual([
		["a", "b"],
		["c"],
	]);
});
