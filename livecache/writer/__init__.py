"""The one writer: keeps Redis as the ledger says, and finds what somebody else did to it."""
