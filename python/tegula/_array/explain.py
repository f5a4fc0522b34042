"""What a read would do."""

from typing import Any, NamedTuple

from tegula._format import byte_size, count

__all__ = ["CacheInfo", "Explanation"]


class Explanation(NamedTuple):
    """What reading a selection would do; see `Array.explain`.

    As text, it says so to people.
    """

    chunks: int
    """Chunks that the selection touches (shards, of a sharded array)."""
    missing_chunks: int
    """Of these, chunks that are not stored."""
    inner_chunks: int
    """Inner chunks that are read, of a sharded array."""
    missing_inner_chunks: int
    """Inner chunks that the selection touches but that are not stored."""
    requests: int
    """Reads of the store, those of shard indexes included."""
    bytes_read: int
    """Bytes of these reads."""
    index_bytes: int
    """Of these, bytes of shard indexes."""
    bytes_decoded: int
    """Bytes that are decoded to get at the selection."""
    bytes_wanted: int
    """Bytes of the selection."""

    @property
    def ratio(self) -> float:
        """Bytes decoded for each byte wanted; 1 is best."""
        return self.bytes_decoded / self.bytes_wanted if self.bytes_wanted else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name, `ratio` included."""
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
    """How a cache of chunks fares."""

    hits: int
    """Chunks that were found."""
    misses: int
    """Chunks that had to be read."""
    chunks: int
    """Chunks that are kept now."""
    bytes: int
    """Bytes that are kept now."""
