"""What a program in the sandbox may not ask of the kernel, as a filter that the kernel applies (seccomp, BPF)."""

from __future__ import annotations

import errno
import platform
import socket
import struct

from sapwood.errors import SapwoodError

_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h."""
_REFUSED = {
    # Processes of its own, and namespaces in which it would have more rights. Threads are allowed, see below.
    "fork": (57, None),
    "vfork": (58, None),
    "unshare": (272, 97),
    "setns": (308, 268),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    # Memory that the limit of memory does not count.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Parts of the kernel in which many faults were found, and that no ordinary program needs.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
"""System calls that fail with EPERM: their numbers on x86_64 and aarch64 (asm/unistd.h)."""
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
_CLONE_THREAD = 0x10000
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
"""The families of sockets that a network namespace holds in. AF_VSOCK, to the host of a virtual machine, is none."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`."""
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000
"""The bit of x86_64's second set of system calls, which would go around the first."""


def system_call_filter() -> bytes:
    """The filter for this machine, as `struct sock_filter[]`. Raises SapwoodError on machines it is not written for."""
    machine = platform.machine()
    if machine not in _MACHINES:
        raise SapwoodError(f"There is no sandbox for {machine}, only for {' and '.join(_MACHINES)}.")
    column = list(_MACHINES).index(machine)
    refuse, allow = _step(_RETURN, _FAIL | errno.EPERM), _step(_RETURN, _ALLOW)
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _MACHINES[machine], then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, otherwise=1),
        _step(_RETURN, _KILL),
        # Its flags lie in memory, where a filter cannot look. The C library then takes the older call.
        _step(_EQUAL, _CLONE3[column], otherwise=1),
        _step(_RETURN, _FAIL | errno.ENOSYS),
    ]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            steps += [_step(_EQUAL, number, otherwise=1), refuse]
    steps += [
        _step(_EQUAL, _CLONE[column], otherwise=4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, _CLONE_THREAD, then=1),
        refuse,
        allow,
        _step(_EQUAL, _SOCKET[column], then=1),
        allow,
        _step(_LOAD, _FIRST_ARGUMENT),
    ]
    for family in _FAMILIES:
        steps += [_step(_EQUAL, family, otherwise=1), allow]
    steps.append(refuse)
    return b"".join(steps)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; `then` and `otherwise` are how many of those that follow a comparison jumps over."""
    return struct.pack("=HBBI", code, then, otherwise, value)
