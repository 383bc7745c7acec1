"""Compile the decoder in C: hatch does it whenever it makes a wheel, `python hatch_build.py` does it alone.

The package is whole without it: models then run on the OpenVINO runtime, which is slower. So a machine where it cannot
be compiled gets the pure wheel and is told so, and ADAPTIVE_BUILD_NATIVE=0 asks for that wheel. A compiler that fails
is another matter and ends the build.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "src/adaptive_engine/native"
LIBRARY = "libdecoder.so"
# No instruction set: each source names its own, and the library picks one of them when it is loaded. A function that is
# nowhere ends the build (-z defs), and not the first start on somebody's machine.
FLAGS = ("-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,defs")
LIBRARIES = ("-lpthread", "-lm")
OLDEST_GLIBC = (2, 5)
"""That a tag of a wheel for x86-64 can name."""


class CompileError(Exception):
    """The compiler ended with an error, which it has said itself."""


class NativeBuildHook(BuildHookInterface[BuilderConfig]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not wanted():
            return
        if problem := obstacle():
            self.app.display_warning(problem)
            return
        try:
            library = compile_library(Path(self.root, NATIVE))
        except CompileError as error:
            self.app.abort(str(error))
        build_data["artifacts"].append(f"/{NATIVE}/{LIBRARY}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(library)}"


def wanted() -> bool:
    return os.environ.get("ADAPTIVE_BUILD_NATIVE") != "0"


def compiler() -> list[str]:
    """The command that compiles C, whether it is there or not."""
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def obstacle() -> str | None:
    """Why there is nothing to compile here or nothing to do it with, in one line that also says what that costs."""
    if sysconfig.get_platform() != "linux-x86_64":
        reason = f"it is for Linux on x86-64, and this is {sysconfig.get_platform()}"
    elif shutil.which(compiler()[0]) is None:
        reason = f"there is no C compiler `{compiler()[0]}` (apt install gcc libc6-dev)"
    else:
        return None
    return f"Built without the decoder in C: {reason}. Models will run on the OpenVINO runtime, which is slower."


def compile_library(folder: Path) -> Path:
    """Compile all sources of the folder into the library beside them. Raises CompileError.

    Processes that have loaded an earlier library keep it: a file of the same name replaces it when it is done.
    """
    unfinished = folder / f".{os.getpid()}-{LIBRARY}"
    # Names without folders and in order: the same sources give the same bytes wherever they are.
    sources = sorted(path.name for path in folder.glob("*.c"))
    command = [*compiler(), *FLAGS, "-o", unfinished.name, *sources, *LIBRARIES]
    try:
        status = subprocess.run(command, cwd=folder, check=False).returncode
        if status != 0:
            raise CompileError(
                f"The decoder in C was not compiled: `{shlex.join(command)}` in {folder} ended with {status}. "
                "What it says is above. To build without the decoder, which is slower, set ADAPTIVE_BUILD_NATIVE=0."
            )
        return unfinished.replace(folder / LIBRARY)
    finally:
        unfinished.unlink(missing_ok=True)


def platform_tag(library: Path) -> str:
    """For which systems a wheel with the library is: those with the newest glibc that one of its symbols is from.

    A library without such symbols is of another C library, and for systems like this one.
    """
    versions = re.findall(rb"\bGLIBC_(\d+)\.(\d+)", library.read_bytes())
    if not versions:
        return "linux_x86_64"
    major, minor = max(OLDEST_GLIBC, *((int(major), int(minor)) for major, minor in versions))
    return f"manylinux_{major}_{minor}_x86_64"


def main() -> str | None:
    """What went wrong, for sys.exit."""
    if not wanted():
        return None
    if problem := obstacle():
        print(problem, file=sys.stderr)
        return None
    try:
        compile_library(Path(__file__).parent / NATIVE)
    except CompileError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
