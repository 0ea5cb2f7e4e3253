# Lives with terminals, seen from outside: run in a mount namespace with a devpts of its own, so that no index is anybody else's.
# usage: terminals.py WAY NECROMANCER...
import fcntl, json, os, pty, select, signal, struct, subprocess, sys, termios, time

TOOL = sys.argv[2:]
DIR = os.environ["IMAGES"]
told = {}


def heard(fd, seconds, until=None):
    out, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and (until is None or until not in out):
        if select.select([fd], [], [], 0.05)[0]:
            try:
                got = os.read(fd, 65536)
            except OSError:
                break
            if not got:
                break
            out += got
    return out.decode(errors="replace")


def shell():
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "-i"], {"PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb", "HOME": "/"})
    heard(master, 20, b"$ ")
    return pid, master


def tool(*words):
    done = subprocess.run([*TOOL, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def typed(master, text, until, seconds=20):
    os.write(master, text.encode())
    return heard(master, seconds, until.encode())


def pair():
    """One process that has both ends of a pty, which controls its session; lines and output wait in it."""
    read, write = os.pipe()
    life = os.fork()
    if life == 0:
        os.setsid()
        spare = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        current = os.open("/dev/tty", os.O_RDWR)
        os.close(spare)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 132, 7, 9))
        settings = termios.tcgetattr(slave)
        settings[3] &= ~termios.ECHO
        settings[6][termios.VERASE] = b"\x08"
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        os.write(master, b"first line\nend\x04par")
        os.write(slave, b"printed\n")
        time.sleep(0.2)
        for fd in (0, 1, 2):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.write(write, b"ready")
        signal.sigwait({signal.SIGUSR1})
        os.write(master, b"ial\n")
        seen = {
            "pid": os.getpid(),
            "name": os.ttyname(slave),
            "lines": [os.read(current, 100).decode() for _ in range(3)],
            "output": os.read(master, 100).decode(),
            "size": struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8))),
            "echo": bool(termios.tcgetattr(slave)[3] & termios.ECHO),
            "erase": termios.tcgetattr(slave)[6][termios.VERASE].hex(),
            "controls": open("/proc/self/stat").read().rsplit(")", 1)[1].split()[3:6],
            "foreground": os.tcgetpgrp(slave) == os.getpgrp(),
        }
        with open(os.path.join(DIR, "seen.json"), "w") as file:
            json.dump(seen, file)
        os._exit(0)
    os.close(write)
    os.read(read, 5)
    os.close(read)
    os.mkdir(os.path.join(DIR, "pair"))
    images = os.path.join(DIR, "pair/images")
    told["kept running"] = tool("dump", "-t", str(life), "-i", images + "-R", "-R", "--missing-fds", "null")
    told["dumped"] = tool("dump", "-t", str(life), "-i", images, "--missing-fds", "null")
    os.waitpid(life, 0)
    told["restored"] = tool("restore", "-i", images, "-d")
    os.kill(life, signal.SIGUSR1)
    path = os.path.join(DIR, "seen.json")
    for _ in range(200):
        if os.path.exists(path) and os.path.getsize(path) > 0:
            break
        time.sleep(0.05)
    with open(path) as file:
        told["seen"] = json.load(file)


def job():
    """bash with a foreground job, in a terminal whose master is elsewhere; it comes back as a job of another shell."""
    life, master = shell()
    typed(master, "X=41; cat\n", "cat\r\n")
    typed(master, "one\n", "one\r\none")
    images = os.path.join(DIR, "job")
    told["refused"] = tool("dump", "-t", str(life), "-i", images)
    told["dumped"] = tool("dump", "-t", str(life), "-i", images, "--shell-job")
    os.waitpid(life, 0)
    os.close(master)
    told["no terminal"] = tool("restore", "-i", images, "--shell-job")
    told["without"] = tool("restore", "-i", images)
    _, master = shell()
    typed(master, " ".join([*TOOL, "restore", "-i", images, "--shell-job"]) + "\n", "restored process")
    told["foreground"] = typed(master, "two\n", "two\r\ntwo")
    typed(master, "\x04", "$ ")
    told["same"] = typed(master, "echo $X-$$\n", f"41-{life}")
    told["pid"] = life
    typed(master, "sleep 100 | cat\n", "cat\r\n")
    time.sleep(0.3)
    told["stopped"] = typed(master, "\x1a", "Stopped")
    typed(master, "\x15fg\n", "cat\r\n")
    time.sleep(0.3)
    told["interrupted"] = typed(master, "\x03", "$ ")
    typed(master, "exit 7\n", "$ ")
    told["status"] = typed(master, "echo status $?\n", "status 7")


def held():
    """bash with a stopped job and a pipeline in the foreground, in a terminal that its parent holds; all of them come back."""
    log = os.path.join(DIR, "log")
    holder = os.fork()
    if holder == 0:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        life, master = shell()
        for fd in (0, 1, 2):
            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
        typed(master, "sleep 1000 | cat\n", "cat\r\n")
        time.sleep(0.2)
        typed(master, "\x1a", "$ ")
        # one description of /dev/tty for two processes of the session
        typed(master, "exec 8<>/dev/tty; Y=5\n", "$ ")
        typed(master, "sleep 3000 | cat\n", "cat\r\n")
        time.sleep(0.2)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        with open(log, "w") as file:
            file.write("ready")
        signal.sigwait({signal.SIGUSR1})
        text = typed(master, "\x03", "$ ") + typed(master, "jobs; tty; echo hey-$Y >&8\n", "hey-5")
        with open(log + "2", "w") as file:
            file.write(text)
        os.rename(log + "2", log + "3")
        os._exit(0)
    images = os.path.join(DIR, "held")
    while not os.path.exists(log) or os.path.getsize(log) == 0:
        time.sleep(0.05)
    told["dumped"] = tool("dump", "-t", str(holder), "-i", images)
    os.waitpid(holder, 0)
    for _ in range(100):
        told["restored"] = tool("restore", "-i", images, "-d")
        if "not yet reaped" not in told["restored"][1]:
            break
        time.sleep(0.05)
    os.kill(holder, signal.SIGUSR1)
    while not os.path.exists(log + "3"):
        time.sleep(0.05)
    with open(log + "3") as file:
        told["said"] = file.read()


{"pair": pair, "job": job, "held": held}[sys.argv[1]]()
print(json.dumps(told))
