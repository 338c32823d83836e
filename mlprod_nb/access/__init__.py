"""Who may do what: bearer tokens, roles, one table of rights, the audit trail, certificates."""
