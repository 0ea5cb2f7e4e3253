/** The library: what the command line is made of. */
export type { Address, FileOffset } from "./bytes/address.ts";
export type { Extent, Placed } from "./bytes/extent.ts";
export type { Range } from "./bytes/range.ts";
export { type ByteSink, createFile } from "./bytes/sink.ts";
export { type ByteSource, fromBuffer, openFile } from "./bytes/source.ts";
export { type KilledProgram, runTraced, type TracedProgram } from "./catch/catch.ts";
export { type Core, readCore } from "./core/core.ts";
export { type CoreMemory, coreMemory, type Whereabouts } from "./core/memory.ts";
export type { NewCore, NewSegment } from "./core/new-core.ts";
export { type WriteCoreOptions, type WrittenCore, writeCore } from "./core/write.ts";
export { encodeImage, type Image, type ImageRecord, readImage } from "./criu/image.ts";
export { type ImageDir, openImageDir } from "./criu/image-dir.ts";
export {
	type CommitOptions,
	commitInPlace,
	recover,
	refuseUnfinished,
	whilePatching,
	writeNewDirectory,
} from "./criu/store/commit.ts";
export type { NewImages } from "./criu/store/new-images.ts";
export { type Dumped, type DumpOptions, dump } from "./dump/dump.ts";
export { type ErrorCode, errorTable, NecromancerError, type Refusal } from "./errors.ts";
export { type Finding, type FindingCode, findingCodes } from "./finding.ts";
export { type Forest, forestOf, type Held, type SharedThings, type Zombie } from "./forest/forest.ts";
export type { PartialTask } from "./forest/partial-task.ts";
export type { Mapping, Memory, Task, Thread } from "./forest/task.ts";
export type { Gone } from "./forest/verdict.ts";
export { measureHost } from "./host/facts.ts";
export { forestFromImages, taskFromImages } from "./images/read/from-images.ts";
export { type ImageOptions, imagesFromForest, imagesFromTask, type TaskImages } from "./images/write/to-images.ts";
export type { HostFile, HostFiles } from "./patch/binaries.ts";
export { hostFiles } from "./patch/host-files.ts";
export { type Patched, type PatchedTree, type PatchOptions, patch, patchTree } from "./patch/patch.ts";
export type { DeadProcess } from "./patch/understood.ts";
export { type CompileOptions, compileForest, compilePlan } from "./plan/compile/compile.ts";
export type { HostFacts } from "./plan/host-facts.ts";
export type { Plan, PlanStep } from "./plan/plan.ts";
export type { Step, StepList } from "./program/program.ts";
export { type OpenCoreOptions, type OpenedCore, openCoreSource, USUAL_MAX_SIZE } from "./raise/open-core.ts";
export { type Raised, type RehearsedRaise, raise, rehearseRaise } from "./raise/raise.ts";
export type { RaiseOptions, RaisePlan } from "./raise/raise-options.ts";
export { type CoreOfTask, coreOfTask, type ToCoreOptions } from "./rebuild/to-core.ts";
export { type Restored, type RestoreOptions, restore } from "./restore/restore.ts";
export { type Evidence, evidenceIn } from "./understand/evidence/evidence.ts";
export { taskFromCore } from "./understand/from-core/from-core.ts";
export { type UnderstandOptions, type Understood, understand } from "./understand/understand.ts";
