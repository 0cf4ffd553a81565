#!/usr/bin/env python3
"""Speaks to a running QEMU over its QMP socket.

    qmp.py SOCKET COMMAND [ARGUMENTS-AS-JSON]     prints what it returns
    qmp.py SOCKET state                           prints how the VM is: running, inmigrate, ...
    qmp.py SOCKET resumed                         says `waiting`, and since when it runs once it does
    qmp.py SOCKET migrate URI                     prints how it ended, the downtime in ms, and when
    qmp.py SOCKET abort URI                       starts a migration that cannot end, and cancels it
"""

import json
import socket
import sys
import time

MIBIBYTE = 1 << 20
FAST = {"max-bandwidth": 1000 * MIBIBYTE, "downtime-limit": 300}
# Some of the memory is copied, and never all of it.
SLOW = {"max-bandwidth": MIBIBYTE, "downtime-limit": 1}
ENDED = ("completed", "failed", "cancelled")


class Qmp:
    def __init__(self, path):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self.stream = connection.makefile("rw")
        self.stream.readline()
        self.run("qmp_capabilities")

    def run(self, command, arguments=None):
        request = {"execute": command, "arguments": arguments or {}}
        self.stream.write(json.dumps(request) + "\n")
        self.stream.flush()
        # Events come in between.
        for line in self.stream:
            message = json.loads(line)
            if "return" in message:
                return message["return"]
            if "error" in message:
                sys.exit(f"qmp: {command}: {message['error']['desc']}")
        sys.exit(f"qmp: {command}: QEMU is gone")

    def resumed(self):
        print("waiting", flush=True)
        for line in self.stream:
            message = json.loads(line)
            if message.get("event") == "RESUME":
                time_stamp = message["timestamp"]
                return time_stamp["seconds"] + time_stamp["microseconds"] / 1e6
        sys.exit("qmp: QEMU is gone")

    def migrate(self, uri, parameters):
        self.run("migrate-set-parameters", parameters)
        self.run("migrate", {"uri": uri})

    def migration(self, until):
        while True:
            seen = self.run("query-migrate")
            if until(seen):
                return seen
            time.sleep(0.02)


def ended(seen):
    return seen["status"] in ENDED


def under_way(seen):
    return ended(seen) or seen.get("ram", {}).get("transferred", 0) > MIBIBYTE


def main(path, command, *arguments):
    qmp = Qmp(path)
    if command == "migrate":
        qmp.migrate(arguments[0], FAST)
        seen = qmp.migration(ended)
        print(seen["status"], seen.get("downtime", "-"), f"{time.time():.6f}")
    elif command == "abort":
        qmp.migrate(arguments[0], SLOW)
        qmp.migration(under_way)
        qmp.run("migrate_cancel")
        print(qmp.migration(ended)["status"])
    elif command == "resumed":
        print(f"{qmp.resumed():.6f}")
    elif command == "state":
        print(qmp.run("query-status")["status"])
    else:
        print(json.dumps(qmp.run(command, json.loads(arguments[0]) if arguments else None)))


main(*sys.argv[1:])
