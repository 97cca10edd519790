"""What layers count: in the process, and added to what all workers have counted with a trip that is made anyway.

These are statistics: what a worker has not yet added when it is killed is lost, and nothing ever fails for want of a count.
"""

from .ledger import HOUR, HOURS, TOTALS, Ledger, hourly
from .top import First, Top
from .totals import ReadTotals

__all__ = ["HOUR", "HOURS", "TOTALS", "First", "Ledger", "ReadTotals", "Top", "hourly"]
