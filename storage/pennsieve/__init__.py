"""The Pennsieve platform: who we are to it, its packages and channels, and uploads that resume."""

from storage.pennsieve.auth import Credentials
from storage.pennsieve.client import Client, Hosts, connect
from storage.pennsieve.imports import Import, UploadPlan, plan_upload, prepare_import
from storage.pennsieve.outputs import Output, load_output
from storage.pennsieve.patience import Patience
from storage.pennsieve.targets import Target, find_target
from storage.pennsieve.uploads import UploadResult, upload_files

__all__ = [
    "Client",
    "Credentials",
    "Hosts",
    "Import",
    "Output",
    "Patience",
    "Target",
    "UploadPlan",
    "UploadResult",
    "connect",
    "find_target",
    "load_output",
    "plan_upload",
    "prepare_import",
    "upload_files",
]
