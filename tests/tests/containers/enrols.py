import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as control:
    control.connect(os.environ["PORTCULLIS_CONTROL"])
    control.sendall(json.dumps({"command": "enrol", "name": "agent", "jail": False}).encode() + b"\n")
    reply = json.loads(control.makefile().readline())
if reply["reply"] != "enrolled":
    sys.exit(reply["error"])
os.execvp(sys.argv[1], sys.argv[1:])
