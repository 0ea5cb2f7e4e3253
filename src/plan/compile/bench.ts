import { address, PAGE_SIZE, pagesUp } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import type { Range } from "../../bytes/range.ts";
import { kindOf } from "../../descriptors/kinds.ts";
import { refuse } from "../../errors.ts";
import type { Forest } from "../../forest/forest.ts";
import type { Task } from "../../forest/task.ts";
import { wholeOf } from "../../forest/whole.ts";
import { CAP } from "../../linux/credentials.ts";
import { limitNumber, NO_LIMIT } from "../../linux/resource.ts";
import { contextLayout, REPORT_FD } from "../../program/abi.ts";
import type { InputFile, Place } from "../../program/args.ts";
import { bytesDatum, cellDatum } from "../../program/data.ts";
import type { CommonObject, CommonThings, Shared } from "../context.ts";
import { highestNumber } from "../files/files.ts";
import { neededByAll } from "../files/needed-files.ts";
import { placesOfInputs } from "../files/place-inputs.ts";
import { madeInWorkshop } from "../files/workshop.ts";
import { chooseHole, reserver } from "../hole.ts";
import type { HostFacts } from "../host-facts.ts";
import { hasCapability } from "../host-rights.ts";
import { freshIds, sameIds } from "../ids.ts";
import { type Inheritance, NO_INHERITANCE } from "../inheritance.ts";
import { asIfOpened, type Inputs, inputsFrom, roomInAgent, sourcesOf } from "../inputs.ts";
import { inheritanceOf, type Maker } from "../memory/inherit.ts";
import { reservePages, windowRoom } from "../memory/memfd-looks.ts";
import { type Opener, openerOf } from "../opener.ts";
import { personasOf } from "../personas.ts";
import { type Making, wordsFor } from "../process/family.ts";
import { WORK_FDS } from "../process/identity.ts";
import { type Kin, type Kinship, kinshipOf } from "../process/kinship.ts";
import { controlsOf } from "../process/terminals.ts";
import {
	type CommonDescription,
	type CommonMemory,
	commonDescriptions,
	commonMemory,
	requireThoseToldOf,
	sessionFiles,
} from "./of-several.ts";
import type { CompileOptions } from "./options.ts";
import { countsOf, roomFor } from "./room.ts";

/** What several processes have open, as far as the first of them is of one user. */
export interface SharedByUser {
	readonly opener: Opener;
	readonly inputs: Inputs;
	readonly descriptions: readonly CommonDescription[];
}

/** All that the plans of the processes of a forest have in common. */
export interface Bench {
	/** What the processes are together, for those who make things for all of them. */
	readonly whole: Task;
	/** All but the first. */
	readonly others: readonly Task[];
	/** There is more than one process, if only for a while. */
	readonly several: boolean;
	/** Those that do not live. */
	readonly ended: readonly Kin[];
	readonly kinOf: (task: Task) => Kin;
	readonly making: Making;
	/** What several have open. */
	readonly shared: readonly SharedByUser[];
	/** The number that the first of them waits under. */
	readonly firstCommon: number;
	readonly memory: readonly CommonMemory[];
	/** By object: where it can be written to; none of a memfd without bytes. */
	readonly places: ReadonlyMap<number, Range>;
	/** By object: the number that a memfd waits under. */
	readonly memfds: ReadonlyMap<number, number>;
	/** Once for each. */
	readonly sharedOf: (task: Task) => Shared;
}

export function benchFor(forest: Forest, facts: HostFacts, options: CompileOptions): Bench {
	const { processes } = forest;
	const controls = controlsOf(forest);
	const foregrounds = [...controls.values()].flatMap(({ foreground }) => foreground ?? []);
	const kinship = kinshipOf(forest, foregrounds, options.terminal !== undefined);
	const several = kinship.all.length > 1;
	if (several) requirePlannable(kinship, options);
	const whole = wholeOf(forest);
	const { hole = holeOfWhole(whole) } = options;
	const sources = sourcesOf(whole);
	const { given = sources } = options;
	requireThoseToldOf(forest, options);
	const personas = personasOf(forest, facts);
	const whose = new Map(personas.flatMap((persona) => persona.tasks.map((task) => [task, persona.whose])));
	const whoseOf = (task: Task): string | undefined => whose.get(task);
	const opened = options.opened ?? asIfOpened(neededByAll(processes, options, whoseOf), given);
	const made = madeInWorkshop(whole, options);
	const least = Math.max(highestNumber(whole.files, options) + 1 + IN_PASSING, roomInAgent({ given, opened, made }));
	const round = Math.max(64, 2 ** Math.ceil(Math.log2(least)));
	const crowded =
		!several && round + sources.length + opened.length + made.length + Number(WORK_FDS) > mostNumbers(facts);
	const placed = crowded ? placesOfInputs(whole, options, opened) : new Map<string, number>();
	const firstWorkFd = crowded ? least : round;
	const inputs = inputsFrom({ sources, given, opened, made, placed }, firstWorkFd + 1);
	const descriptions = several ? commonDescriptions(forest, options) : [];
	// those of one user together; what is made of no file may belong to another
	const userOf = ({ description, first }: CommonDescription) =>
		(kindOf(description).making.files?.(description) ?? []).length === 0
			? personas[0]
			: personas.find(({ tasks }) => tasks.some(({ identity }) => identity.pid === first.pid));
	const byUser = personas.flatMap((persona): SharedByUser[] => {
		const { whose, opener } = persona;
		const own = descriptions.filter((it) => userOf(it) === persona);
		return own.length === 0 ? [] : [{ opener, inputs: inputs.ofUser(whose), descriptions: own }];
	});
	const ordered = byUser.flatMap((it) => it.descriptions);
	const firstCommon = firstWorkFd + 1 + inputs.all.length;
	const memory = several ? commonMemory(forest, descriptions) : [];
	const firstMemfd = firstCommon + descriptions.length;
	const memfds = new Map(memory.filter(({ memfd }) => memfd).map(({ object }, i) => [object.id, firstMemfd + i]));
	const place = reserver(whole.memory.mappings, hole);
	const places = new Map(
		memory.flatMap(({ object, mappings, memfd }): [number, Range][] => {
			const whole = { length: pagesUp(object.size), page: PAGE_SIZE };
			const { length, page } = memfd ? windowRoom(object, mappings) : whole;
			if (length === 0n) return [];
			const start = reservePages(place, length, page);
			return [[object.id, { start, end: address(start + length) }]];
		}),
	);
	const kins = new Map(kinship.all.map((kin) => [kin.pid, kin]));
	const targets = new Map(
		kinship.all.map(({ pid }, i): [number, Place] => {
			const fd = i === 0 ? REPORT_FD : firstWorkFd;
			const name = i === 0 ? "report socket" : `report socket of process ${pid}`;
			return [pid, bytesDatum(name, contextLayout.encode({ report_fd: BigInt(fd), task: BigInt(pid) }))];
		}),
	);
	const words = wordsFor(kinship, memfds.size > 0);
	const inheritances =
		several && options.lazy !== true ? inheritanceIn(forest, kinship, whoseOf) : new Map<number, Inheritance>();
	const targetOf = (pid: number): Place => targets.get(pid) ?? unknown(pid);
	const commonOf = ({ identity: { pid } }: Task): CommonThings => ({
		words: words.told,
		children: processes.flatMap(({ identity }) =>
			identity.ppid === pid && identity.pid !== pid ? [identity.pid] : [],
		),
		borrowsTable: kins.get(pid)?.borrows === true,
		inheritance: inheritances.get(pid) ?? NO_INHERITANCE,
		descriptions: new Map(
			ordered.map(({ key, description }, i): [string, InputFile] => [
				key,
				{ name: description.kind, number: firstCommon + i },
			]),
		),
		elsewhere: new Set(descriptions.filter(({ first }) => first.pid !== pid).map(({ key }) => key)),
		objects: new Map(
			memory.flatMap(({ object: { id }, pids, original }): [number, CommonObject][] => {
				const number = memfds.get(id);
				const key = original?.pid === pid ? original.key : undefined;
				const memfd = number === undefined ? undefined : { number, ...defined({ original: key }) };
				const common = { fills: pids[0] === pid, ...defined({ window: places.get(id), memfd }) };
				return pids.includes(pid) ? [[id, common]] : [];
			}),
		),
	});
	return {
		...{ whole, others: processes.slice(1), several, shared: byUser, firstCommon, memory, places, memfds },
		ended: kinship.all.filter(({ fate }) => fate.kind !== "lives"),
		kinOf: ({ identity }) => kins.get(identity.pid) ?? unknown(identity.pid),
		making: {
			...{ reportTarget: targetOf, words, controls },
			sessionFiles: sessionFiles(ordered, firstCommon, controls, (pid) => kins.get(pid)?.sid ?? 0, forest),
		},
		sharedOf: (task) => ({
			ids: options.freshIds === true ? freshIds(task) : sameIds,
			facts,
			hole,
			reportTarget: targetOf(task.identity.pid),
			...{
				firstWorkFd,
				inputs: inputs.ofUser(whoseOf(task)),
				firstSpareFd: firstMemfd + memfds.size,
				opener: openerOf(task, facts),
			},
			go: cellDatum("go"),
			...(task.threads[0]?.ended === true ? { leaderEnded: cellDatum("whether the leader is there") } : {}),
			...(several ? { common: commonOf(task) } : {}),
			...(options.terminal === undefined ? {} : { joinsCaller: true }),
			...(task.ipc === undefined ? {} : { segments: segmentsOf(task, processes) }),
			reserve: reserver([...task.memory.mappings, ...places.values()], hole),
		}),
	};
}

/** Whoever opens files with the same rights may open the same. */
function inheritanceIn(
	{ processes }: Forest,
	{ root }: Kinship,
	whoseOf: (task: Task) => string | undefined,
): ReadonlyMap<number, Inheritance> {
	const tasks = new Map(processes.map((task) => [task.identity.pid, task]));
	return inheritanceOf(makerOf(root), tasks, (one, other) => whoseOf(one) === whoseOf(other));
}

const makerOf = ({ pid, fate, early, late }: Kin): Maker => ({
	...{ pid, lives: fate.kind === "lives" },
	makes: [...early, ...late].map(makerOf),
});

/** Where blob and plan will live while the processes are made. The same for the same forest. */
export const holeFor = (forest: Forest): Range => holeOfWhole(wholeOf(forest));

const holeOfWhole = (whole: Task): Range => chooseHole(whole.memory.mappings, roomFor(countsOf(whole)));

/** @throws NecromancerError ERR_UNSUPPORTED for what is planned of one process only. */
function requirePlannable({ all }: Kinship, { fds, freshIds: fresh }: CompileOptions): void {
	const refuseAll = (subject: string, finding: string): never =>
		refuse("ERR_UNSUPPORTED", { subject, finding, expectation: `and there are ${all.length} processes` });
	if (fds.size > 0) refuseAll("--fd", "names a descriptor of one process");
	if (fresh === true) refuseAll("--fresh-ids", "gives one process an id of the kernel's choice");
}

/** Who shows a segment first fills it; the first process those that nobody shows. */
function segmentsOf(task: Task, processes: readonly Task[]): NonNullable<Shared["segments"]> {
	const first = processes[0] === task;
	const shows = ({ memory }: Task, id: number): boolean =>
		memory.mappings.some(({ backing }) => backing.kind === "sysv" && backing.id === BigInt(id));
	const ids = (task.ipc?.segments ?? []).map(({ id }) => id);
	const fills = ids.filter((id) => (processes.find((candidate) => shows(candidate, id)) ?? processes[0]) === task);
	return { fills: new Set(fills), first };
}

const unknown = (pid: number): never => {
	throw new RangeError(`no process ${pid} in the forest`);
};

/** The most that land above the highest number on their way to their own. */
const IN_PASSING = 3;

/** How many descriptors a process of ours can have. */
const mostNumbers = (facts: HostFacts): number =>
	hasCapability(facts, CAP.SYS_RESOURCE, "system")
		? Number.POSITIVE_INFINITY
		: Number(facts.limits[limitNumber("NOFILE")]?.hard ?? NO_LIMIT);
