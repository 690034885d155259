"""Certificate for the scenarios with TLS: EC P-256, self-signed, made by openssl."""

import subprocess
from pathlib import Path

from bench.heads import HOST
from bench.programs import MeasureError, find


def certificate(directory: Path) -> tuple[Path, Path, Path]:
    """Make a certificate, unless it is there; return its file, its key's, and one with both.

    Raises:
        MissingError: without openssl.
        MeasureError: if that fails.
    """
    crt, key, both = (directory / f"tls.{end}" for end in ("crt", "key", "pem"))
    if not both.exists():
        command = [find("openssl"), "req", "-x509", "-newkey", "ec", "-noenc", "-days", "2"]
        command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/CN={HOST}"]
        command += ["-keyout", str(key), "-out", str(crt)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MeasureError(f"openssl: {done.stderr.strip()}")
        both.write_text(crt.read_text() + key.read_text())
    return crt, key, both
