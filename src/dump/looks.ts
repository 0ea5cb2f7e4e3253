import { type BigIntStats, lstatSync, statSync } from "node:fs";
import { bytesFromText } from "../bytes/text.ts";

/** How what a path leads to looks; `undefined` where nothing is seen there. @param follows Also where that is a symbolic link. */
export function lookAt(path: string, follows = true): BigIntStats | undefined {
	try {
		return (follows ? statSync : lstatSync)(Buffer.from(bytesFromText(path)), { bigint: true });
	} catch {
		return undefined;
	}
}

/** As images have them. */
export const modeAndOwner = ({ mode, uid, gid }: Pick<BigIntStats, "mode" | "uid" | "gid">) => ({
	...{ mode: Number(mode), uid: Number(uid), gid: Number(gid) },
});
