"""The web, asked with manners: at the pace that a host allows, again where that is worth it, not for long."""
