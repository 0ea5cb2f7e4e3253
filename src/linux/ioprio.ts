/** Of a thread, by its id; 0 is the caller (include/uapi/linux/ioprio.h). */
export const IOPRIO_WHO_PROCESS = 1;

/** An I/O priority is a class in the bits from here on, and a level below; class 0 follows the niceness. */
export const IOPRIO_CLASS_SHIFT = 13n;

export const IOPRIO_CLASS_RT = 1n;
