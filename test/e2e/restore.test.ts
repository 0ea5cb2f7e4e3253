import { cpSync, existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/built.ts";
import { fixtureCore, fixtureNames, fixturePath, fixtureText, parseMaps } from "../support/fixture-core.ts";
import { type Message, type ReadImages, readImages } from "../support/image-reader.ts";
import { present } from "../support/present.ts";
import { processPages, registersByGdb } from "../support/restored-process.ts";
import { canHaveRooms, linesOf, openRoom, type Room } from "../support/room.ts";
import { scratch } from "../support/scratch.ts";
import { hasTool } from "../support/tools.ts";
import { fileHere, regFilesOf, restoredMemory } from "../support/witness.ts";

// Processes that live again: made by the program as a user runs it, each in namespaces of its own.

const rooms = canHaveRooms();
const able = rooms ? "" : " (needs root, unshare and nsenter)";
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const walker = fileURLToPath(new URL("../support/fail-walk.mjs", import.meta.url));

const opened: Room[] = [];
const roomWith = async (fixture: string): Promise<Room> => {
	const room = await openRoom();
	opened.push(room);
	room.putLog(fixture);
	return room;
};
afterEach(async () => {
	for (const room of opened.splice(0)) await room.close();
});
