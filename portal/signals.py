"""What the portal tells others inside the transaction that changed it."""

from django.dispatch import Signal

# All but `membership_losses` and `mail_requested` are sent with by=Principal, too: who did it.
# Sent with membership=Membership after its role or state changed, or just before it is removed.
membership_changed = Signal()
# Sent with membership=Membership and former_slug=str after its slug changed, inside the transaction that did it.
membership_renamed = Signal()
# Sent with membership=Membership inside the transaction that removes it, before its row goes.
membership_removing = Signal()
# Sent with membership=Membership by the page that asks before it removes a person: each receiver answers a list of
# sentences about what would stop working. Nothing changes.
membership_losses = Signal()
# Sent with group=Group and membership_ids=set of those who joined or left it, inside the transaction that changed it.
group_changed = Signal()
# Sent with mail_id=UUID and organization_id=UUID (or None) inside the transaction that queued a mail.
mail_requested = Signal()
# Sent with group=Group before it is deleted: a receiver raises Conflict where something still names it.
group_removing = Signal()
