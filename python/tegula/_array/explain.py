"""The costs of a read, and statistics of a cache."""

from typing import Any, NamedTuple

from tegula._format import byte_size, count

__all__ = ["CacheInfo", "Explanation"]


class Explanation(NamedTuple):
    """The costs of reading a selection; see `Array.explain`. ``str`` returns a description for people."""

    chunks: int
    """Chunks that the selection touches; shards, if the array is sharded."""
    missing_chunks: int
    """Touched chunks that are not stored."""
    inner_chunks: int
    """Inner chunks of shards that are read."""
    missing_inner_chunks: int
    """Touched inner chunks that are not stored."""
    requests: int
    """Requests to the store, including those for shard indexes."""
    bytes_read: int
    """Bytes that these requests return."""
    index_bytes: int
    """Bytes of shard indexes, a part of `bytes_read`."""
    bytes_decoded: int
    """Bytes that are decoded for the selection."""
    bytes_wanted: int
    """Bytes of the selection."""

    @property
    def ratio(self) -> float:
        """`bytes_decoded` divided by `bytes_wanted`; 1 is best."""
        return self.bytes_decoded / self.bytes_wanted if self.bytes_wanted else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name, including `ratio`."""
        return {**self._asdict(), "ratio": self.ratio}

    def __str__(self) -> str:
        touched = count(self.chunks, "chunk")
        if self.missing_chunks:
            touched += f" ({self.missing_chunks:,} not stored)"
        lines = [f"touches  {touched}"]
        if self.inner_chunks or self.missing_inner_chunks:
            inner = count(self.inner_chunks, "inner chunk")
            if self.missing_inner_chunks:
                inner += f" ({self.missing_inner_chunks:,} more not stored)"
            lines[0] += f", {inner}"
        read = f"{byte_size(self.bytes_read)} in {count(self.requests, 'request')}"
        if self.index_bytes:
            read += f", {byte_size(self.index_bytes)} of it shard indexes"
        lines.append(f"reads    {read}")
        lines.append(f"decodes  {byte_size(self.bytes_decoded)}")
        lines.append(f"wants    {byte_size(self.bytes_wanted)}: decodes {self.ratio:.3g} times what is wanted")
        return "\n".join(lines)


class CacheInfo(NamedTuple):
    """Statistics of a cache of chunks."""

    hits: int
    """Chunks that were found in the cache."""
    misses: int
    """Chunks that had to be read."""
    chunks: int
    """Chunks in the cache now."""
    bytes: int
    """Bytes in the cache now."""
