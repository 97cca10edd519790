"""The limiter's script on a server that collects nothing, as its clock goes on while the test's stands still."""

from __future__ import annotations

from redis_middleware.layers.rate_limit.decide import Decide


class Eternally(Decide):
    """What it stores has no expiry; everything else is as in `Decide`."""

    lua = (
        """
local real = redis
local redis = {call = function(...)
  local command, key, value = ...
  if command == 'SET' then return real.call('SET', key, value) end
  if command == 'PEXPIRE' then return 0 end
  return real.call(...)
end}
"""
        + Decide.lua
    )
