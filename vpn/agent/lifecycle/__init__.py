"""Operations on a whole hub, composed of the components: apply, restore, expire, compare, report."""
