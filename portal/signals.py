"""What the portal tells others inside the transaction that changed it."""

from django.dispatch import Signal

# Sent with membership=Membership after its role or state changed, or just before it is removed.
membership_changed = Signal()
# Sent with membership=Membership inside the transaction that removes it, before its row goes.
membership_removing = Signal()
