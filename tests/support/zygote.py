"""`swap` without its start-up: one process imports it and forks for each command, as users' shells would start it but
for half a second of imports. A command is a process of its own: own session, environment, signals and streams.

Run as a program with a socket's number, it serves; imported, `Zygote` is the client and `Forked` what `Popen` would be.
A fork is safe there because that process has one thread. Where the platform cannot (no fork, no descriptors over a
socket), the fixtures start an interpreter for each command.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 1 << 20


class Forked:
    """The part of subprocess.Popen that the tests use. `returncode` is None until the command was reaped."""

    def __init__(self, pid: int, stdin: IO[str] | None, stdout: IO[str], stderr: IO[str]) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self.returncode: int | None = None
        self.ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired("swap", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The client's end: starts commands, and learns how they ended."""

    def __init__(self) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = mine
        with its:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.zygote", str(its.fileno())],
                cwd=ROOT,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        self.lock = threading.Lock()
        self.started: list[Forked] = []
        self.answered = threading.Condition()
        self.running: dict[int, Forked] = {}
        self.reader = threading.Thread(target=self._read, daemon=True, name="zygote")
        self.reader.start()

    def start(self, args: list[str], cwd: Path, env: dict[str, str], *, stdin: bool) -> Forked:
        """Fork, with pipes for stdout and stderr, and for stdin where it is asked for."""
        ours, theirs = zip(os.pipe(), os.pipe(), strict=True)  # (stdout's ends), (stderr's ends)
        (out_r, err_r), (out_w, err_w) = ours, theirs
        in_r, in_w = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), -1)
        streams = (os.fdopen(in_w, "w") if stdin else None, os.fdopen(out_r), os.fdopen(err_r))
        request = json.dumps({"args": args, "cwd": str(cwd), "env": env}).encode()
        try:
            with self.lock, self.answered:
                self.waiting = streams
                socket.send_fds(self.socket, [request], [in_r, out_w, err_w])
                assert self.answered.wait_for(lambda: self.started, timeout=30), "the zygote does not answer"
                return self.started.pop()
        finally:
            for fd in (in_r, out_w, err_w):
                os.close(fd)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.process.wait(10)
        self.reader.join(10)
        self.socket.close()

    def _read(self) -> None:
        while message := self.socket.recv(LARGEST):
            told = json.loads(message)
            with self.answered:
                if "started" in told:
                    self.running[told["started"]] = Forked(told["started"], *self.waiting)
                    self.started.append(self.running[told["started"]])
                    self.answered.notify_all()
                else:
                    ended = self.running.pop(told["ended"])
                    ended.returncode = os.waitstatus_to_exitcode(told["status"])
                    ended.ended.set()


def serve(connection: socket.socket) -> None:
    """Fork for each request; report each start and each end. Ends with the connection."""
    wakeup, alarm = socket.socketpair()
    alarm.setblocking(False)
    signal.set_wakeup_fd(alarm.fileno())
    signal.signal(signal.SIGCHLD, _note)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if wakeup in ready:
                wakeup.recv(4096)
                _reap(connection)
            if connection in ready:
                request, fds, *_ = socket.recv_fds(connection, LARGEST, 3)
                if not request:
                    return
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    _become(json.loads(request), fds)
                for fd in fds:
                    os.close(fd)
                connection.send(json.dumps({"started": pid}).encode())


def _note(_number: int, _frame: FrameType | None) -> None:
    """A handler of Python's own has to exist for the wakeup descriptor to be written to."""


def _reap(connection: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        connection.send(json.dumps({"ended": pid, "status": status}).encode())


def _become(request: dict[str, Any], fds: list[int]) -> None:
    """In the child: the command, from its first line to its exit code. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite that nohup started ignores it, and a command would too
        os.setsid()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.closerange(3, 256)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = ["swap", *request["args"]]
        from swap.__main__ import main

        main()
    except SystemExit as e:
        code = int(e.code or 0)
    finally:
        os._exit(code)


if __name__ == "__main__":
    import swap.cli
    import swap.demo.load

    for command in pkgutil.iter_modules(swap.cli.__path__, "swap.cli."):  # each would import its own when it runs
        importlib.import_module(command.name)
    serve(socket.socket(fileno=int(sys.argv[1])))
