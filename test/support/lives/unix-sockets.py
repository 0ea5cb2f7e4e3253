"""Unix sockets of all kinds, of an ordinary user, one of them shared with a child. Says what they are; on SIGUSR1 once more, and
then what waits in them. argv: the file to say it in, a directory for their names."""

import os, signal, socket, struct, sys, time

log, directory = sys.argv[1:]
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
os.chdir(directory)
UNIX, STREAM, DGRAM, SEQPACKET = socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET


def made(kind, name=None, to=None):
    it = socket.socket(UNIX, kind)
    if name is not None:
        it.bind(name)
    if to is not None:
        it.connect(to)
    return it


os.umask(0o027)
listener = made(STREAM, f"{directory}/listener")
listener.listen(3)
client = made(STREAM, None, f"{directory}/listener")
accepted = listener.accept()[0]
waiting = made(STREAM, None, f"{directory}/listener")
client.sendall(b"to the server")
accepted.sendall(b"to the client")
client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
client.settimeout(7.5)
relative = made(SEQPACKET, "relative")
relative.listen(1)
one, other = socket.socketpair(UNIX, SEQPACKET)
for record in (b"one", b"two", b"a third that is longer"):
    one.send(record)
one.shutdown(socket.SHUT_WR)
# messages of no bytes, one of them the last before the end of a connection
blank, blanks = socket.socketpair(UNIX, SEQPACKET)
for record in (b"", b"between", b"", b"", b"behind", b""):
    blank.send(record)
blank.shutdown(socket.SHUT_WR)
# credentials come with a message of no bytes too, and not with the end
blanks.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
empty, empties = socket.socketpair(UNIX, DGRAM)
for record in (b"", b"", b"something", b""):
    empty.send(record)
box = made(DGRAM, "\0box of %d" % os.getpid())
box.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
sender = made(DGRAM, "\0sender of %d" % os.getpid(), box.getsockname())
sender.send(b"from one who is there")
gone = made(DGRAM, "\0gone of %d" % os.getpid(), box.getsockname())
gone.send(b"from one who is gone")
gone.close()
deleted = made(DGRAM, f"{directory}/deleted")
caller = made(DGRAM, None, f"{directory}/deleted")
os.unlink(f"{directory}/deleted")
caller.send(b"by a name that is gone")
left, closed = socket.socketpair(UNIX, STREAM)
closed.send(b"the last words")
closed.close()
fresh = made(STREAM)
ours, childs = socket.socketpair(UNIX, STREAM)
parent = os.getpid()
if os.fork() == 0:
    ours.close()
    while True:
        question = childs.recv(100)
        if not question:
            os._exit(0)
        childs.send(b"the child heard " + question)
childs.close()


def say(*words):
    with open(log, "a") as out:
        print(*words, file=out)


def credentials(it):
    pid, uid, gid = struct.unpack("3i", it.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return f"{'own' if pid == parent else pid} {uid}:{gid}"


def name(bound):
    return repr(bound).replace(directory, "DIR").replace(str(parent), "PID")


def peer(it):
    try:
        return name(it.getpeername())
    except OSError as error:
        return error.strerror


def tell():
    for what, it in (
        *(("listener", listener), ("client", client), ("accepted", accepted), ("waiting", waiting)),
        *(("relative", relative), ("one", one), ("other", other), ("box", box), ("sender", sender)),
        *(("deleted", deleted), ("caller", caller), ("left", left), ("fresh", fresh), ("ours", ours)),
    ):
        options = [it.getsockopt(socket.SOL_SOCKET, number) for number in (socket.SO_SNDBUF, socket.SO_PASSCRED, socket.SO_ACCEPTCONN)]
        say(what, it.fileno(), name(it.getsockname()), "to", peer(it), *options, it.gettimeout(), os.get_blocking(it.fileno()), credentials(it))
    for file in ("listener", "relative"):
        seen = os.stat(file)
        say(file, oct(seen.st_mode), seen.st_uid, seen.st_gid)
    say(sorted(os.listdir(".")))


def received(it, *flags):
    bytes, _, _, address = it.recvmsg(100, 100, *flags)
    return f"{bytes} from {name(address)}"


def waits(it, most):
    """What can be received without waiting, up to the end."""
    for _ in range(most):
        try:
            bytes, control, _, _ = it.recvmsg(100, 100, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if it is blanks and not control:
            return
        yield bytes


def again(*_):
    tell()
    say("accepted", accepted.recv(100), "client", client.recv(100))
    say("other", *(other.recv(100) for _ in range(4)))
    say("box", received(box), received(box))
    say("blanks", *(waits(blanks, 9)))
    say("empties", *(waits(empties, 9)))
    say("deleted", deleted.recv(100), "left", left.recv(100), left.recv(100))
    late = listener.accept()[0]
    waiting.send(b"at last")
    say("waiting", late.recv(100), credentials(late))
    stranger = made(SEQPACKET, None, f"{directory}/relative")
    stranger.send(b"new")
    say("relative", relative.accept()[0].recv(100))
    caller.send(b"still")
    say("caller", deleted.recv(100))
    ours.send(b"us")
    say("ours", ours.recv(100))


signal.signal(signal.SIGUSR1, again)
tell()
while True:
    time.sleep(1000)
