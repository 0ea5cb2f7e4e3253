/**
 * Where to open again the file that is one of our own descriptors, whatever has become of its name; a name after it is looked up
 * in that directory (proc_pid_fd(5)).
 */
export const pathOfDescriptor = (fd: number): string => `/proc/self/fd/${fd}`;
