import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { clocksWhenWritten, otherClocksWhenWritten } from "../../../src/host/clocks.ts";
import { need } from "../../support/tools.ts";

const SECOND = 1_000_000_000n;
const now = (): bigint => BigInt(Date.now()) * 1_000_000n;
const offsetHere = (): number =>
	Number(/^monotonic +(-?\d+)/m.exec(readFileSync("/proc/self/timens_offsets", "latin1"))?.[1] ?? 0);

const able = need(
	"root, unshare and time namespaces",
	process.getuid?.() === 0 && spawnSync("unshare", ["--time", "--fork", "true"]).status === 0,
);

const children: (() => void)[] = [];
afterEach(() => {
	for (const end of children.splice(0)) end();
});

describe.skipIf(!able)(`clocks of this boot${able ? "" : " (needs root, unshare and time namespaces)"}`, () => {
	it("are those of namespaces in which somebody lives, too", async () => {
		const offset = offsetHere() + 777_777;
		const clocks = ["--monotonic", `${offset}`, "--boottime", `${offset}`];
		const child = spawn("unshare", ["--time", "--fork", "--kill-child", ...clocks, "sh", "-c", "echo; exec sleep 60"], {
			stdio: ["ignore", "pipe", "ignore"],
		});
		children.push(() => child.kill("SIGKILL"));
		await new Promise((done) => child.stdout.once("data", done));
		const ours = clocksWhenWritten(now());
		const found = otherClocksWhenWritten(now()).find(
			({ origin }) => origin?.offsets.monotonic === BigInt(offset) * SECOND,
		);
		const ahead = (found?.monotonic ?? 0n) - (ours?.monotonic ?? 0n);
		expect(ahead / (10n * SECOND)).toBe(77_777n);
	});

	it("are a donor's, if that was of this boot, and each is named once", () => {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
		const offsets = { monotonic: 333_333n * SECOND, boottime: 444_444n * SECOND };
		const isDonors = ({ origin }: { origin?: { offsets: { boottime: bigint } } }): boolean =>
			origin?.offsets.boottime === offsets.boottime;
		expect(otherClocksWhenWritten(now(), { boot, offsets }).filter(isDonors)).toHaveLength(1);
		expect(otherClocksWhenWritten(now(), { boot: "another", offsets }).filter(isDonors)).toHaveLength(0);
	});

	it("are none that had not begun", () => {
		expect(otherClocksWhenWritten(1n)).toEqual([]);
		expect(clocksWhenWritten(1n)).toBeUndefined();
	});
});
