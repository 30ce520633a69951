"""Composition root: settings, URLs and the Celery app. Nothing else imports it."""

from orchestrator.config.celery import app as celery_app

__all__ = ["celery_app"]
