import { describe, expect, it } from "vitest";
import { namespace } from "../../../src/descriptors/namespace.ts";
import { CLONE } from "../../../src/linux/sched.ts";

const owner = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };
const own = { kind: "namespace", id: 9, flags: 0, name: "net" } as const;

describe("a descriptor of a namespace", () => {
	it("is written by the label of that which all processes are in, and read back by that of the process", () => {
		const entry = namespace.images.to(own, { owner, namespace: () => 2 } as never);
		expect(entry.nsf).toEqual({ id: 9, flags: 0, ns_id: 2, ns_cflag: CLONE.NEWNET });
		const read = (label: number) =>
			namespace.images.from(entry, { subject: "files.img", namespace: () => label } as never);
		expect(read(2)).toEqual(own);
		// of another
		expect(read(3)).toEqual({ kind: "namespace", id: 9, flags: 0 });
		expect(namespace.making.unopenable(read(3))).toBe("a namespace that it does not live in");
		expect(namespace.making.unopenable(own)).toBeUndefined();
	});

	it("is of no other kind of namespace: new ones may be made for a process", () => {
		const nsf = { id: 9, flags: 0, ns_id: 3, ns_cflag: CLONE.NEWIPC };
		const read = namespace.images.from({ type: 8, id: 9, nsf }, { subject: "", namespace: () => 3 } as never);
		expect(read).toEqual({ kind: "namespace", id: 9, flags: 0 });
	});
});
