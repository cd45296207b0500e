"""Template tags and filters of the console; loaded into every template."""

from django import template

register = template.Library()
