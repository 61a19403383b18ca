"""Turns in a queue: each organization gets one job before any gets its next, however many it has enqueued.

A queue of rq is a list of job ids, and workers take its first. Portal ids are `<organization>_<work>_<random>`. A new
job is inserted behind the jobs of its round: an organization's first waiting job is of the first round, its second of
the second. So the order of the list alone decides, and no other state has to be kept in step.

A job for work that waits already is merged with the waiting one. Once a worker has taken that one from the list, the
next is a job of its own: a change after the worker began to read is never lost.
"""

from __future__ import annotations

import secrets
from uuid import UUID

from redis import Redis
from redis.client import Pipeline
from rq.job import Job

# KEYS: the queue, the prefix of jobs' keys. ARGV: the job's id. It runs in the transaction that has saved the job.
# The job of an id may have expired or been deleted: a worker that takes such an id does nothing.
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
# The portal's own scheduled work has turns like an organization.
PORTAL = UUID(int=0)


def job_id(organization_id: UUID | None, function: str, subject: UUID | None) -> str:
    """A new job's id; without an organization that of the portal itself.

    Ids of one organization have the same beginning. Ids of the same work differ only after the last underscore.
    """
    owner = organization_id or PORTAL
    work = function.rpartition(".")[2].replace("_", "-")
    return f"{owner.hex}_{work}{subject.hex if subject is not None else ''}_{secrets.token_hex(8)}"


def subject_of(found: str, function: str) -> UUID | None:
    """Return what a job of this id is about; None if it is another function's."""
    word, work = function.replace("_", "-"), found.split("_")[1:2]
    about = work[0].removeprefix(word) if work else ""
    try:
        return UUID(about) if work and work[0].startswith(word) else None
    except ValueError:
        return None


def take_place(connection: Redis | Pipeline, queue_key: str, new_id: str) -> None:
    """Insert a saved job in a queue; it is deleted instead if the same work waits there already."""
    connection.eval(_TAKE_PLACE, 2, queue_key, Job.redis_job_namespace_prefix, new_id)
