/** Operations of keyctl(2) (include/uapi/linux/keyctl.h). */
export const KEYCTL = { GET_KEYRING_ID: 0, JOIN_SESSION_KEYRING: 1, LINK: 8, READ: 11 } as const;

/** Keyrings by what they are to the caller, as signed numbers. */
export const KEYRING = { THREAD: -1n, PROCESS: -2n, SESSION: -3n, USER: -4n } as const;
