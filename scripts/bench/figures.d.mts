export type Command = readonly string[] | (() => Promise<number>);

/** What a section measures with. */
export interface Measure {
	readonly dir: string;
	at(file: string): string;
	compare(what: string, aim: number | undefined, command: Command, against: readonly [string, Command]): Promise<void>;
	memory(what: string, aim: number | undefined, command: readonly string[]): Promise<void>;
	skip(what: string, why: string): void;
}

export interface Figure {
	readonly name: string;
	readonly verdict: string;
	readonly failed?: string;
	readonly skipped?: string;
}

export function figuresOf(
	sections: Readonly<Record<string, (measure: Measure) => unknown>>,
	how: { dir: string; size: number; runs: number; cli: unknown; tell?: (what: string) => void },
): Promise<Figure[]>;
