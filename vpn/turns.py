"""Turns in a queue: each organization has one job at a time before the others', however many it has rung for.

A queue of rq is a list of job ids, taken from its head. Ours are `<organization>_<work>_<chance>`: a job goes behind
the jobs of the same round, where an organization's first waiting job is of the first round, its second of the second.
So the list alone is the order: any worker takes its head, and nothing has to be kept in step with it.

Rings for work that waits already are merged with the job that waits. Once a worker has taken that from the list, the
next ring is a job of its own: what changes after a worker began to read is never lost.
"""

from __future__ import annotations

import secrets
from uuid import UUID

from redis import Redis
from redis.client import Pipeline
from rq.job import Job

# KEYS: the queue, the prefix of jobs' keys. ARGV: the job's id. It runs in the transaction that has saved the job.
# An id without its job is one whose time is over, or that was deleted: a worker that takes it does nothing.
_TAKE_PLACE = """
local owner, work = string.sub(ARGV[1], 1, 32), string.match(ARGV[1], '^(.*_)') or ARGV[1]
local waiting = redis.call('LRANGE', KEYS[1], 0, -1)
local owners, mine = {}, 0
for place, id in ipairs(waiting) do
  local whose = string.sub(id, 1, 32)
  owners[place] = whose
  if whose == owner then
    mine = mine + 1
    if string.sub(id, 1, #work) == work and redis.call('EXISTS', KEYS[2] .. id) == 1 then
      if id ~= ARGV[1] then redis.call('DEL', KEYS[2] .. ARGV[1]) end
      return
    end
  end
end
local turns = {}
for place, whose in ipairs(owners) do
  local before = turns[whose] or 0
  if before > mine then
    redis.call('LINSERT', KEYS[1], 'BEFORE', waiting[place], ARGV[1])
    return
  end
  turns[whose] = before + 1
end
redis.call('RPUSH', KEYS[1], ARGV[1])
"""
# The portal's own work, by the clock, has turns like an organization.
PORTAL = UUID(int=0)


def job_id(organization_id: UUID | None, function: str, subject: UUID | None) -> str:
    """A new job's id; the portal's own where there is no organization.

    Ids of one organization begin alike, and ids of the same work differ in what follows the last underscore alone.
    """
    owner = organization_id or PORTAL
    work = function.rpartition(".")[2].replace("_", "-")
    return f"{owner.hex}_{work}{subject.hex if subject is not None else ''}_{secrets.token_hex(8)}"


def take_place(connection: Redis | Pipeline, queue_key: str, new_id: str) -> None:
    """Give a saved job its place in a queue; one whose work waits there already is deleted instead."""
    connection.eval(_TAKE_PLACE, 2, queue_key, Job.redis_job_namespace_prefix, new_id)
