"""Fast paths on the CPU, each with a plain twin that it must equal. See `engine.py` for who chooses."""

from __future__ import annotations

from .engine import ENGINES, Engine, chosen, obstacle, use, wanted

__all__ = ["ENGINES", "Engine", "chosen", "obstacle", "use", "wanted"]
