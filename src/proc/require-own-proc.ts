import { readlinkSync } from "node:fs";
import { refuse } from "../errors.ts";

/**
 * Makes sure that /proc shows our own pid namespace: in that of another, every number in it is somebody else's.
 *
 * folklore: `unshare --pid --fork` without `--mount-proc`, and containers that got the host's /proc (bind mount, hostPath).
 *
 * @param self What /proc/self leads to, for tests; absent where there is no /proc.
 * @throws NecromancerError ERR_HOST
 */
export function requireOwnProc(self = whoWeAre()): void {
	if (self === undefined)
		refuse("ERR_HOST", {
			subject: "/proc",
			finding: "does not know us",
			expectation: "expected the /proc of our pid namespace to be mounted there",
			remedy: "mount one's own (unshare --mount-proc, mount -t proc proc /proc)",
		});
	if (self !== String(process.pid))
		refuse("ERR_HOST", {
			subject: "/proc",
			finding: `shows another pid namespace: there we are process ${self}, here ${process.pid}`,
			expectation: "expected that of our own",
			remedy: "mount one's own (unshare --mount-proc, mount -t proc proc /proc)",
		});
}

function whoWeAre(): string | undefined {
	try {
		return readlinkSync("/proc/self");
	} catch {
		return undefined;
	}
}
