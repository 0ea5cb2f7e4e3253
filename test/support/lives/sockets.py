# Has TCP sockets of all kinds that are not connected, and says what the kernel knows of each whenever SIGUSR1 comes.
import os, signal, socket, struct, sys

log = open(sys.argv[1], "a", buffering=1)
v4 = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
v4.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40000)
v4.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
v4.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 7))
v4.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 3, 250000))
v4.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
v4.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 99)
v4.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
v4.bind(("127.0.0.1", 0))
v4.listen(7)
v6 = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
v6.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
v6.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
v6.bind(("::1", 0))
v6.listen(1)
bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
bound.bind(("127.0.0.1", 0))
fresh = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
fresh.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)

COMMON = {
    "sndbuf": 7, "rcvbuf": 8, "lock": 72, "reuseaddr": 2, "reuseport": 15, "priority": 12, "rcvlowat": 18,
    "keepalive": 9, "domain": 39, "type": 3, "protocol": 38, "accepts": 30,
}
TCP = {"nodelay": 1, "keepidle": 4, "keepintvl": 5, "keepcnt": 6}


def told(one):
    words = [f"{name}={one.getsockopt(1, option)}" for name, option in COMMON.items()]
    words += [f"{name}={one.getsockopt(6, option)}" for name, option in TCP.items()]
    words.append("linger=" + str(struct.unpack("ii", one.getsockopt(1, 13, 8))))
    words.append("rcvtimeo=" + str(struct.unpack("qq", one.getsockopt(1, 20, 16))))
    info = one.getsockopt(6, 11, 32)
    words.append(f"state={info[0]} backlog={struct.unpack_from('i', info, 28)[0] if info[0] == 10 else 0}")
    words.append(f"v6only={one.getsockopt(41, 26)}" if one.family == socket.AF_INET6 else f"tos={one.getsockopt(0, 1)}")
    words.append(f"name={one.getsockname()[:2]} inheritable={one.get_inheritable()} blocking={os.get_blocking(one.fileno())}")
    return " ".join(words)


def report(*_):
    for name, one in (("v4", v4), ("v6", v6), ("bound", bound), ("fresh", fresh)):
        log.write(f"{name} {told(one)}\n")


signal.signal(signal.SIGUSR1, report)
report()
while True:
    signal.pause()
