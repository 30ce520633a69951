"""Migrations of orchestrator."""
