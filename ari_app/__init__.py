"""sharedline: a shared phone number for a team, on the team's own Asterisk."""
