"""The readers, sync and asyncio, and how they carry out what `read` decides."""
