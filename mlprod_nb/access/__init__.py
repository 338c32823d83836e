"""Who may do what: tokens, the rights table, the audit trail, secrets on disk and TLS certificates.

Guarantees: a token's secret is stored nowhere but in the file that the caller writes; a right is granted only where
:data:`mlprod_nb.access.rights.RIGHTS` says so; an audit entry that is edited, removed or moved is found by
:func:`mlprod_nb.access.audit.verify`.
"""
