"""What layers count: in the process, and added to what all workers have counted with a trip that is made anyway.

These are statistics: what a worker has not yet added when it ends is lost, and nothing ever fails for want of a count.
"""

from .top import First, Top
from .totals import ReadTotals, Totals

__all__ = ["First", "ReadTotals", "Top", "Totals"]
