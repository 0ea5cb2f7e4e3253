import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import * as library from "../../src/index.ts";

it("reads images and plans their restore by what the package exports", () => {
	const fixtures = resolve(import.meta.dirname, "../../fixtures");
	const dir = library.openImageDir(join(fixtures, "counter/images"));
	try {
		const task = library.taskFromImages(dir);
		expect(task.identity).toMatchObject({ pid: 25456, comm: "counter" });
	} finally {
		dir.close();
	}
});

it("exports what README's verbs are made of", () => {
	expect(Object.keys(library).sort()).toEqual([
		"NecromancerError",
		"USUAL_MAX_SIZE",
		"commitInPlace",
		"compileForest",
		"compilePlan",
		"coreMemory",
		"coreOfTask",
		"createFile",
		"dump",
		"encodeImage",
		"errorTable",
		"evidenceIn",
		"findingCodes",
		"forestFromImages",
		"forestOf",
		"fromBuffer",
		"hostFiles",
		"imagesFromForest",
		"imagesFromTask",
		"measureHost",
		"openCoreSource",
		"openFile",
		"openImageDir",
		"patch",
		"patchTree",
		"raise",
		"readCore",
		"readImage",
		"recover",
		"refuseUnfinished",
		"rehearseRaise",
		"restore",
		"runTraced",
		"taskFromCore",
		"taskFromImages",
		"understand",
		"whilePatching",
		"writeCore",
		"writeNewDirectory",
	]);
});
