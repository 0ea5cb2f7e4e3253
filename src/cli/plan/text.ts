import { hex } from "../../bytes/address.ts";
import { LEADER, listOfProcess, type Plan, type PlanStep } from "../../plan/plan.ts";
import { type NumberedStep, numberSteps } from "../../program/assemble.ts";
import { stepText } from "../../program/text.ts";
import { escapeText } from "../escape-text.ts";
import { weightPaint } from "../findings.ts";
import { fold } from "../fold.ts";
import { counted, section } from "../section.ts";
import { tableLines } from "../table.ts";
import type { Paint } from "../terminal.ts";

/** Reasons stand in a column, as long as it is no further to the right than this. */
const WIDEST = 120;

/**
 * A plan for people: every step a line, as strace(1) would have it, under the heading of its stage; what threads and fillers
 * do below. Numbers are those of error messages.
 *
 * @param verbose all lines; else long stages are folded.
 */
export function planText(plan: Plan, paint: Paint, verbose: boolean): string {
	const steps = numberSteps(plan);
	const groups = groupsOf(steps, plan);
	const lists = fold(
		plan.lists.map(({ name }) => name).filter((name) => name !== LEADER),
		verbose,
	);
	const shown = new Set([LEADER, ...lists.head, ...lists.tail]);
	const { others = [] } = plan;
	const threads = others.reduce((sum, { tids }) => sum + tids.length, plan.tids.length);
	const visible = groups.filter(({ list }) => shown.has(list));
	return [
		`${paint.bold(`${others.length === 0 ? "pid" : "pids"} ${[plan, ...others].map(({ pid }) => pid).join(", ")}`)}: ${counted(threads, "thread")}, ${counted(steps.length, "step")}, made from ${hex(plan.hole.start)}-${hex(plan.hole.end)}\n`,
		...visible.map(({ title, steps: members, list }, i) => {
			const gap =
				lists.hidden.length > 0 && list === lists.tail[0] && visible[i - 1]?.list !== list
					? paint.dim(`\n… ${counted(lists.hidden.length, "more list")} (-v shows them)\n`)
					: "";
			return gap + section(escapeText(title), `${members.length}`, linesOf(members, paint, verbose), paint);
		}),
		section(
			"findings",
			`${plan.findings.length}`,
			tableLines(
				"lll",
				plan.findings.map(({ weight, subject, text }) => [
					{ text: weight, paint: weightPaint(paint)[weight] },
					escapeText(subject),
					escapeText(text),
				]),
			),
			paint,
		),
	].join("");
}

interface StepGroup {
	readonly title: string;
	readonly list: string;
	readonly steps: readonly NumberedStep<PlanStep>[];
}

/** The steps of each process's first thread by stage, those of others by who runs them. */
function groupsOf(steps: readonly NumberedStep<PlanStep>[], { others = [] }: Pick<Plan, "others">): StepGroup[] {
	const processes = new Set(others.map(({ pid }) => listOfProcess(pid)));
	const groups: { title: string; list: string; steps: NumberedStep<PlanStep>[] }[] = [];
	for (const step of steps) {
		const { list, step: planned } = step;
		const title = list === LEADER ? planned.stage : processes.has(list) ? `${list}: ${planned.stage}` : list;
		const last = groups.at(-1);
		if (last !== undefined && last.title === title && last.list === step.list) last.steps.push(step);
		else groups.push({ title, list: step.list, steps: [step] });
	}
	return groups;
}

function linesOf(steps: readonly NumberedStep<PlanStep>[], paint: Paint, verbose: boolean): string[] {
	const { head, hidden, tail } = fold(steps, verbose);
	const rows = [...head, ...tail].map(({ id, step }) => ({
		id: `${id}`,
		text: escapeText(stepText(step)),
		why: escapeText(step.why),
	}));
	const digits = rows.reduce((most, { id }) => Math.max(most, id.length), 0);
	const width = rows.reduce((most, { text }) => (lengthOf(text) > WIDEST ? most : Math.max(most, lengthOf(text))), 0);
	const lines = rows.map(({ id, text, why }) => {
		const padding = " ".repeat(Math.max(0, width - lengthOf(text)));
		return `  ${paint.dim(id.padStart(digits))}  ${text}${padding}  ${paint.dim(`# ${why}`)}`;
	});
	if (hidden.length === 0) return lines;
	const folded = paint.dim(`  … ${hidden.length} more (-v shows them)`);
	return [...lines.slice(0, head.length), folded, ...lines.slice(head.length)];
}

const lengthOf = (text: string): number => [...text].length;
