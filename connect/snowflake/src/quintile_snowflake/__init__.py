"""Recorded scores of Quintile into Snowflake, each once, and features out of it."""
