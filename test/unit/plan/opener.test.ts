import { describe, expect, it } from "vitest";
import type { Credentials } from "../../../src/forest/task.ts";
import { openerOf } from "../../../src/plan/opener.ts";
import { madeHost } from "../../support/builders/made-host.ts";
import { taskOfThreads, threadOf } from "../../support/builders/thread-task.ts";

/** A thread of a user's, with capabilities. */
const thread = (tid: number, uid: number, effective = 0n) => {
	const ids = { uid, euid: uid, suid: uid, fsuid: uid, gid: uid, egid: uid, sgid: uid, fsgid: uid };
	const credentials: Partial<Credentials> = { ...ids, groups: [uid], effective, permitted: effective };
	const one = threadOf(tid);
	return { ...one, credentials: { ...one.credentials, ...credentials } };
};

const READ_SEARCH = 1n << 2n;
const facts = { ...madeHost(), user: { uid: 0, gid: 0, groups: [0] } };
const openerFor = (...threads: ReturnType<typeof thread>[]) => openerOf(taskOfThreads(threads), facts);

describe("who opens the files that threads share", () => {
	it("is their user, with his groups and no capability", () => {
		expect(openerFor(thread(1, 1000), thread(2, 1000))).toMatchObject({
			user: { uid: 1000, gid: 1000, groups: [1000], effective: 0n },
			caller: { uid: 0 },
			same: false,
		});
	});

	it("is the one that may most: root before others, then who has more capabilities, then the first", () => {
		expect(openerFor(thread(1, 1000), thread(2, 0)).user).toMatchObject({ uid: 0, effective: 0n });
		expect(openerFor(thread(1, 1000), thread(2, 33, READ_SEARCH)).user).toMatchObject({
			uid: 33,
			effective: READ_SEARCH,
		});
		expect(openerFor(thread(1, 1000), thread(2, 33)).user).toMatchObject({ uid: 1000 });
	});
});
