/** What kcmp(2) compares (include/uapi/linux/kcmp.h). Its answer is 0 for one and the same, 1 to 3 for two. */
export const KCMP = { FILE: 0, VM: 1, FILES: 2, FS: 3, SIGHAND: 4 } as const;
