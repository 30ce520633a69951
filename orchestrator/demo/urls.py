"""Addresses of the demo shop, all under /demo/."""

from django.urls import path

from orchestrator.demo import views

urlpatterns = [
    path("demo/shop", views.shop, name="demo-shop"),
    path("demo/api/effects", views.effects, name="demo-effects"),
    path("demo/api/do/<str:step>", views.do, name="demo-do"),
    path("demo/api/undo/<str:step>", views.undo, name="demo-undo"),
    path("demo/api/probe/<str:step>", views.probe, name="demo-probe"),
]
