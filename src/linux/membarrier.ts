/** Asks which commands membarrier(2) is registered for (include/uapi/linux/membarrier.h; Linux 6.3). */
export const MEMBARRIER_GET_REGISTRATIONS = 512;

/** Registrations are commands, and each is a bit of what {@link MEMBARRIER_GET_REGISTRATIONS} answers. */
export const REGISTRATIONS = 0x154n;
