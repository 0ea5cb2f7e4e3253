import type { DescriptorGuess } from "../../descriptors/stand-ins.ts";

/** Takes in what is known of a descriptor, unless something is known already. */
export type Add = (deduced: DescriptorGuess) => void;

/** Larger fd numbers are not believed: the fd table grows with them. */
export const MOST_DESCRIPTORS = 65_536;
