"""What has changed since the reference: pure functions of scores and counts."""
