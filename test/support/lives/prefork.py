# A preforking server: workers inherit a listening socket, count their answers in memory that all share, and log to one file.
import mmap, os, signal, socket, struct, sys

port, count = int(sys.argv[1]), int(sys.argv[2])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(16)
common = mmap.mmap(-1, 4096)
log = open("log", "a", buffering=1)
workers = []
for _ in range(count):
    pid = os.fork()
    if pid == 0:
        own = 0
        while True:
            client, _ = listener.accept()
            own += 1
            total = struct.unpack_from("q", common)[0] + 1
            struct.pack_into("q", common, 0, total)
            client.sendall(b"%d %d %d\n" % (os.getpid(), own, total))
            client.close()
            log.write("%d\n" % total)
    workers.append(pid)
print("ready", *workers, flush=True)
while workers:
    pid, status = os.wait()
    workers.remove(pid)
    print("ended", pid, status, flush=True)
