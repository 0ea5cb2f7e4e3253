import type { CallName } from "../program/calls.ts";
import type { Arg, Place } from "../program/program.ts";

/** Reads so many bytes of the process where the plan has a place. */
export type Recall = (place: Place, length: number) => Uint8Array;

export type Ask = (call: CallName, args: readonly Arg[], why: string, save?: Place) => void;
