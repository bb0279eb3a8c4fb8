"""The lab: a real Asterisk and real SIP phones on this machine, for end-to-end tests and demos."""
