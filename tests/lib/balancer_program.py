# SPDX-License-Identifier: MIT
"""A balancer's program for the unit tests of the command balancer: its servers stand in a file, BALANCER.json beside
this program's argument, and the file BALANCER.fault says how it misbehaves."""
import json
import os
import sys
import time

CAN = ["maint", "kill", "weight", "counts", "forget"]


def main():
    question = json.load(sys.stdin)
    place = f"{sys.argv[1]}/{question['balancer']}"
    with open(f"{sys.argv[1]}/asked", "a") as f:
        f.write(json.dumps(question, sort_keys=True) + "\n")
    with open(f"{place}.json") as f:
        world = json.load(f)
    fault = open(f"{place}.fault").read().strip() if os.path.exists(f"{place}.fault") else ""
    if fault == "hang":
        time.sleep(60)
    if fault == "gone":
        print("no route to the balancer", file=sys.stderr)
        return 3
    if question["do"] == "list":
        if fault == "flood":
            print("x" * (9 << 20))
            return 0
        if fault.startswith("say "):
            print(fault[4:])
            return 0
        servers = [dict(s, serving=s["state"] == "ready" and s.get("weight", 1) > 0) for s in world["servers"]
                   if s["pool"] in question["pools"] and not s.get("gone")]
        print(json.dumps({"can": world.get("can", CAN), "servers": servers}))
        return 0
    if fault == "die":
        print("no route to the balancer\nsecond line", file=sys.stderr)
        return 3
    if fault == "refuse":
        print(json.dumps({"refused": "it is locked"}))
        return 0
    for s in world["servers"]:
        if (s["pool"], s["server"]) == (question["pool"], question["server"]) and fault != "lie":
            if question["do"] == "kill":
                s["sessions"] = 0
            else:
                s.update({k: question[k] for k in ("state", "weight") if k in question})
                if "membership" in world.get("can", CAN):
                    s["gone"] = s["state"] != "ready"
    with open(f"{place}.json.new", "w") as f:
        json.dump(world, f)
    os.rename(f"{place}.json.new", f"{place}.json")
    if fault == "lose":
        os.unlink(f"{place}.fault")
        print("the connection broke after the order was given", file=sys.stderr)
        return 3
    print('{"ok": true}')
    return 0


sys.exit(main())
