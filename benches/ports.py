"""What many ports cost: measured from the guests' side, for benches/ports.sh.

It stands in the guests' network namespace and plays every guest: DISCOVER out, OFFER in. It writes
rows to the real ovsdb-server in one transaction each, and starts and ends leasehold on the node.

  ports.py table NODE LEASEHOLD PORTS...   the table of benches/README.md, a line for each number
  ports.py check NODE LEASEHOLD            200 ports, limits that a busy machine keeps: `ok`, `BAD`

NODE is the process that holds the node's namespaces.
"""

import json
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

BRIDGE = "br-int"
MORE = 100

LIMIT = 120.0


class Guests:
    """Every guest, on two sockets that see all their interfaces."""

    def __init__(self):
        self.out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.inward = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        rcvbufforce = 33
        self.inward.setsockopt(socket.SOL_SOCKET, rcvbufforce, 64 << 20)
        self.inward.setblocking(False)
        self.round = 0

    def discover(self, ports):
        self.round = (self.round + 1) % 0x10000
        for port in ports:
            try:
                self.out.sendto(frame(port, self.round), (f"g{port}", 0))
            except BlockingIOError:
                pass

    def answered(self, wait):
        """Waits up to `wait` seconds, and returns the ports whose OFFER came in."""
        if not select.select([self.inward], [], [], max(wait, 0))[0]:
            return []
        ports = []
        while True:
            try:
                reply = self.inward.recv(2048)
            except BlockingIOError:
                return ports
            if len(reply) > 284 and reply[36:38] == b"\0\x44" and reply[42] == 2:
                ports.append(struct.unpack_from(">I", reply, 46)[0] >> 16)

    def until_answered(self, ports, pause):
        """Sends DISCOVER on each port every `pause` seconds until all have been answered."""
        waiting, end, due = set(ports), time.monotonic() + LIMIT, 0.0
        while waiting:
            now = time.monotonic()
            if now > end:
                raise SystemExit(f"FAIL  {len(waiting)} ports are not answered: {min(waiting)}")
            if now >= due:
                self.discover(waiting)
                due = time.monotonic() + pause
            waiting.difference_update(self.answered(due - time.monotonic()))
        return time.monotonic()

    def longest_silence(self, ports, action):
        """Sends DISCOVER on each port every 5 ms while `action` runs, and a second before and
        after. Returns the longest time in seconds that a port went without an OFFER."""
        doing = threading.Thread(target=action)
        begin = time.monotonic()
        last, longest = dict.fromkeys(ports, begin), 0.0
        due, end = begin, None
        while end is None or time.monotonic() < end:
            now = time.monotonic()
            if now >= due:
                self.discover(ports)
                due += 0.005
            for port in self.answered(due - time.monotonic()):
                now = time.monotonic()
                if port in last:
                    longest, last[port] = max(longest, now - last[port]), now
            if doing.ident is None and now > begin + 1:
                acted = now
                doing.start()
            if end is None and doing.ident and not doing.is_alive() and min(last.values()) > acted:
                end = now + 1
            if now > begin + LIMIT:
                raise SystemExit("FAIL  ports stay silent")
        return longest


def frame(port, round_):
    """A DISCOVER as a small client sends it; the transaction id names the port."""
    mac = mac_of(port)
    bootp = struct.pack(">BBBBIHH", 1, 1, 6, 0, port << 16 | round_, 0, 0) + bytes(16) + mac
    bootp += bytes(10 + 64 + 128) + bytes([99, 130, 83, 99, 53, 1, 1, 55, 4, 1, 3, 6, 26, 255])
    bootp += bytes(300 - len(bootp))
    udp = struct.pack(">HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    head = struct.pack(">BBHIBBH4s4s", 0x45, 0, 20 + len(udp), 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return b"\xff" * 6 + mac + b"\x08\0" + head + udp


def mac_of(port):
    return b"\x52\x54\0\x10" + struct.pack(">H", port)


class Node:
    """The node: its database and its leasehold."""

    def __init__(self, holder, program):
        self.holder, self.program, self.running = holder, program, None
        self.root = f"/proc/{holder}/root"

    def inside(self, *command):
        enter = ["nsenter", "--target", self.holder, "--mount", "--uts", "--net", "--"]
        return [*enter, *command]

    def start(self):
        with open(os.path.join(os.environ["LAB"], "log/leasehold"), "ab") as log:
            command = self.inside(self.program, "run")
            self.running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)

    def stop(self):
        self.running.send_signal(signal.SIGTERM)
        self.running.wait(LIMIT)

    def restart(self):
        self.stop()
        self.start()

    def status(self):
        command = self.inside(self.program, "status", "--json")
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(run.stdout) if run.returncode == 0 else {}

    def wait_ready(self):
        end = time.monotonic() + LIMIT
        while not self.status().get("ready"):
            if time.monotonic() > end:
                raise SystemExit("FAIL  leasehold does not become ready")
            time.sleep(0.02)

    def forget(self):
        """Ends leasehold, and takes away every lease and every row."""
        if self.running:
            self.stop()
        subprocess.run(self.inside("sh", "-c", "rm -rf /var/lib/leasehold/*"), check=True)
        update = {"op": "update", "table": "Bridge", "where": [], "row": {"ports": ["set", []]}}
        self.transact([update])

    def plug(self, ports):
        """Writes the rows of `ports` in one transaction. Returns when it was committed."""
        operations, added = [], []
        for port in ports:
            ids = {
                "attached-mac": mac_of(port).hex(":"),
                "iface-id": "eth0",
                "iface-status": "active",
                "vm-id": f"bench/vm-{port}",
            }
            interface = {"name": f"vm{port}", "external_ids": ["map", list(ids.items())]}
            named = ["named-uuid", f"i{port}"]
            row = {"name": f"vm{port}", "interfaces": named}
            operations.append(insert("Interface", interface, f"i{port}"))
            operations.append(insert("Port", row, f"p{port}"))
            added.append(["named-uuid", f"p{port}"])
        mutation = ["ports", "insert", ["set", added]]
        mutate = {"op": "mutate", "table": "Bridge", "where": [["name", "==", BRIDGE]]}
        self.transact([*operations, {**mutate, "mutations": [mutation]}])
        return time.monotonic()

    def transact(self, operations):
        # A connection for each: an idle one would have to answer the server's probes.
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.root + "/run/openvswitch/db.sock")
            request = {"id": 1, "method": "transact", "params": ["Open_vSwitch", *operations]}
            server.sendall(json.dumps(request).encode())
            text = b""
            while True:
                text += server.recv(1 << 20)
                try:
                    answer = json.loads(text)
                except ValueError:
                    continue
                break
        faults = [one for one in answer["result"] if one and one.get("error")]
        if answer["error"] or faults:
            raise SystemExit(f"FAIL  the database refused: {answer['error'] or faults[0]}")

    def drop_connections(self):
        command = self.inside("ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/reconnect")
        subprocess.run(command, check=True)

    def processes(self):
        pid = self.running.pid
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [pid, *map(int, children.read().split())]

    def cpu_ms(self):
        """CPU time of all threads of all three processes, in milliseconds."""
        total = 0
        for pid in self.processes():
            for task in os.listdir(f"/proc/{pid}/task"):
                try:
                    with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                        total += int(stat.read().split()[0])
                except FileNotFoundError:
                    pass
        return total / 1e6

    def resident_mib(self):
        """Of the responder, then of the processes beside it."""
        return [resident_kib(pid) / 1024 for pid in self.processes()]


def insert(table, row, name):
    return {"op": "insert", "table": table, "row": row, "uuid-name": name}


def resident_kib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def measure(node, guests, count, idle_seconds):
    """Everything with `count` ports but the restart. Times are in milliseconds."""
    node.forget()
    node.start()
    node.wait_ready()
    seen = {}
    begun = node.plug(range(count))
    ended = guests.until_answered(range(count), max(0.002, count * 40e-6))
    seen["all"] = (ended - begun) * 1e3

    new, ones = count, []
    for _ in range(10):
        begun = node.plug([new])
        ones.append((guests.until_answered([new], 0.001) - begun) * 1e3)
        new += 1
    seen["one"], seen["worst"] = statistics.median(ones), max(ones)

    begun = node.plug(range(new, new + MORE))
    ended = guests.until_answered(range(new, new + MORE), 0.004)
    seen["more"] = (ended - begun) * 1e3
    new += MORE

    # A row that is written once the connections are gone is told by the next snapshot alone.
    begun = time.monotonic()
    node.drop_connections()
    node.plug([new])
    seen["resync"] = (guests.until_answered([new], 0.002) - begun) * 1e3

    if idle_seconds:
        # What has come up is written down, and the first advertisements are sent.
        time.sleep(SETTLE)
        before = node.cpu_ms()
        time.sleep(idle_seconds)
        seen["idle"] = node.cpu_ms() - before
    seen["memory"], *beside = node.resident_mib()
    seen["peak"] = resident_kib(node.running.pid, "VmHWM") / 1024
    seen["beside"] = sum(beside)
    return seen


def silence(node, guests, count):
    """The longest silence, in milliseconds, of 50 of `count` ports over a restart."""
    some = sorted({place * (count - 1) // 49 for place in range(50)})
    quiet = guests.longest_silence(some, lambda: None)
    longest = guests.longest_silence(some, node.restart)
    guests.until_answered(range(count), 0.1)
    return quiet * 1e3, longest * 1e3


def table(node, guests, sizes):
    head = ["ports", "all served", "one more", "worst of 10", "100 more", "resync"]
    head += ["CPU in 10 s idle", "resident", "at most", "broker and rules"]
    print(f"| {' | '.join(head)} |")
    print(f"| {' | '.join(['---'] * len(head))} |")
    restart = None
    for count in sizes:
        seen = measure(node, guests, count, 10)
        cells = [f"{count:,}"]
        cells += [f"{seen[key]:.0f} ms" for key in ("all",)]
        cells += [f"{seen[key]:.1f} ms" for key in ("one", "worst")]
        cells += [f"{seen[key]:.0f} ms" for key in ("more", "resync", "idle")]
        cells += [f"{seen[key]:.1f} MiB" for key in ("memory", "peak", "beside")]
        print(f"| {' | '.join(cells)} |", flush=True)
        if count == RESTARTED:
            restart = silence(node, guests, count)
    if restart:
        quiet, longest = restart
        print(f"\nlongest silence of a port over a restart with {RESTARTED:,} ports: ", end="")
        print(f"{longest:.0f} ms ({quiet:.0f} ms without one)")


def check(node, guests):
    count, passed = 200, True
    seen = measure(node, guests, count, 0)
    _, seen["silence"] = silence(node, guests, count)
    for text, key, most in [
        ("all of 200 ports are answered, in ms", "all", 100_000),
        ("one more port, in ms", "one", 10_000),
        ("100 more at once, in ms", "more", 30_000),
        ("everything anew from the database, in ms", "resync", 20_000),
        ("the longest silence over a restart, in ms", "silence", 60_000),
    ]:
        good = seen[key] <= most
        passed = passed and good
        print(f"{'ok   ' if good else 'BAD  '} {text}: {seen[key]:.0f}, at most {most}")
    return 0 if passed else 1


# With how many ports it is started anew.
RESTARTED = 1_000

# Seconds: three advertisements follow a port's start, 16 seconds apart at most (RFC 4861).
SETTLE = 35


def main():
    what, holder, program, *sizes = sys.argv[1:]
    node, guests = Node(holder, program), Guests()
    if what == "check":
        return check(node, guests)
    table(node, guests, [int(size) for size in sizes])
    return 0


if __name__ == "__main__":
    sys.exit(main())
