"""Lets Triton find the C module that was compiled with the image; everything else is in Triton's own cache.

Only in the GPU image, whose Dockerfile names it in TRITON_CACHE_MANAGER: there Triton can write to its cache, but has
no compiler.
"""

from pathlib import Path

from triton.runtime.cache import FileCacheManager

PREBUILT = Path("/opt/triton")


class PrebuiltCacheManager(FileCacheManager):
    """Triton makes one for each key, which is a digest of the source and the platform."""

    def get_file(self, filename: str) -> str | None:
        """The path of a file that belongs to the key, if there is one."""
        prebuilt = PREBUILT / self.key / filename
        found: str | None = str(prebuilt) if prebuilt.is_file() else super().get_file(filename)
        return found
