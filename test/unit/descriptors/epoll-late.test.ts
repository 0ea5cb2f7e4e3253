import { expect, it } from "vitest";
import { type Epoll, epoll } from "../../../src/descriptors/epoll.ts";
import type { Neighbour } from "../../../src/descriptors/kind.ts";
import type { Slot } from "../../../src/descriptors/steps.ts";
import type { Finding } from "../../../src/finding.ts";

it("says that an epoll instance does not watch what is opened when all processes are there", () => {
	const calls: string[] = [];
	const reports: string[] = [];
	const opening = {
		add: (call: string) => void calls.push(call),
		report: ({ weight, subject, text }: Finding) => void reports.push(`${weight} ${subject} ${text}`),
	};
	const targets = [3, 5].map((number) => ({ number, events: 1, data: 7n }));
	const content: Epoll = { kind: "epoll", id: 9, flags: 2, targets };
	const slot: Slot<Epoll> = { number: 4, closeOnExec: false, key: "9", content };
	const neighbour = { named: false, null: false, closeOnExec: false };
	const all = new Map<number, Neighbour>([
		[3, { ...neighbour, late: true }],
		[5, neighbour],
	]);
	epoll.making.finish?.(slot, opening as never, all);
	expect(calls).toEqual(["epoll_ctl"]);
	expect(reports).toEqual([
		"loss epoll descriptor 4 no longer watches 3, which is opened again when it is too late for that",
	]);
});
