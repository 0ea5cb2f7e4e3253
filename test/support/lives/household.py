"""A process that has one of everything that could be left behind: a child and a zombie, a terminal, locks, unix sockets with and
without a name and one that has lost its name, memory that both share, and IPC objects. argv: the directory for their names."""

import ctypes, fcntl, mmap, os, pty, socket, sys, time

directory = sys.argv[1]
os.chdir(directory)
libc = ctypes.CDLL(None)
UNIX = socket.AF_UNIX

shared = mmap.mmap(-1, 8192)
segment = libc.shmget(0, 4096, 0o1600)
libc.shmat.restype = ctypes.c_void_p
libc.shmat(segment, None, 0)
libc.semget(0, 2, 0o1600)
libc.msgget(0, 0o1600)
master, slave = pty.openpty()
os.write(master, b"typed\n")
locked = open("locked", "w")
fcntl.lockf(locked, fcntl.LOCK_EX)
flocked = open("flocked", "w")
fcntl.flock(flocked, fcntl.LOCK_EX)
bound = [socket.socket(UNIX, socket.SOCK_DGRAM) for _ in range(2)]
bound[0].bind(f"{directory}/bound")
bound[1].bind(f"{directory}/lost")
os.unlink(f"{directory}/lost")
listener = socket.socket(UNIX, socket.SOCK_STREAM)
# whoever has the path now that another has lost
listener.bind(f"{directory}/lost")
listener.listen()
ours, childs = socket.socketpair(UNIX, socket.SOCK_STREAM)
ours.send(b"to the child")
if os.fork() == 0:
    shared[:5] = b"child"
    open("ready", "w").close()
    time.sleep(1000)
if os.fork() == 0:
    os._exit(7)
time.sleep(1000)
