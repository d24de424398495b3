"""SIP: messages, transport, transactions, dialogs (RFC 3261)."""
