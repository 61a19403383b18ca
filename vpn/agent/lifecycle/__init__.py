"""What composes the components: apply, heal, expire, compare, report."""
