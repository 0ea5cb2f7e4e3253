/** What the workshop keeps a description of a file without a name under that is mapped, or executed. */
export const mappedGhost = (ghost: number, use: "read" | "write"): string => `file ${ghost} without a name, to ${use}`;

/** The same of one that is open. @param slot its key. */
export const openGhost = (ghost: number, slot: string): string => `file ${ghost} without a name, descriptor ${slot}`;
