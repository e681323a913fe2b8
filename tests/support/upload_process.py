"""An upload as a process: to be killed in the middle, or to have all that it writes read.

Takes one JSON object on standard input: ``url``, ``credentials``, ``target`` (the arguments of
``find_target``), ``folder``, ``concurrency``. Prints the result, and logs everything to stderr.
"""

from __future__ import annotations

import json
import logging
import sys

from storage.folders import open_folder
from storage.pennsieve import (
    Credentials,
    Hosts,
    Patience,
    connect,
    find_target,
    load_output,
    plan_upload,
    prepare_import,
    upload_files,
)


def main() -> None:
    """Upload one output."""
    order = json.load(sys.stdin)
    logging.basicConfig(level=logging.DEBUG)
    credentials = Credentials(**order["credentials"])
    logging.debug("as %r to %s", credentials, order["url"])
    hosts = Hosts(order["url"], order["url"])
    patience = Patience(first_delay_s=0.001, longest_delay_s=0.01)
    with connect(hosts, credentials, order["concurrency"], patience) as client:
        logging.debug("with %r", vars(client))
        target = find_target(client, **order["target"])
        output = load_output(open_folder(order["folder"]))
        logging.debug("plan %r", plan_upload(client, target, output))
        import_ = prepare_import(client, target, output)
        logging.debug("prepared %r", import_)
        result = upload_files(client, import_, output.files)
    print(json.dumps({"sent": result.sent, "skipped": result.skipped}))


if __name__ == "__main__":
    main()
