"""Signals that the portal sends within the transaction that makes the change."""

from django.dispatch import Signal

# All except `membership_losses`, `instances_asked` and `mail_requested` are also sent with by=Principal.
# Sent with membership=Membership after its role or state changed. `receipt` is a Receipt if something of theirs ends
# with that, else None; the receiver ends what is not the portal's, and adds it.
membership_changed = Signal()
# Sent with membership=Membership and former_slug=str after its slug changed, inside the transaction that did it.
membership_renamed = Signal()
# Sent with membership=Membership inside the transaction that removes it, before its row goes; `receipt` as above.
membership_removing = Signal()
# Sent with membership=Membership by the page that confirms the removal of a person. Each receiver returns a list of
# sentences about what will stop working.
membership_losses = Signal()
# Sent with organization_id=UUID. Each receiver returns the organization's instances as {id: name}, by name.
instances_asked = Signal()
# Sent with group=Group and membership_ids=set of those who joined or left it, inside the transaction that changed it.
group_changed = Signal()
# Sent with mail_id=UUID and organization_id=UUID (or None) inside the transaction that queued a mail.
mail_requested = Signal()
# Sent with group=Group before it is deleted. A receiver raises Conflict if something still refers to it.
group_removing = Signal()
