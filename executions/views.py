"""Pages of runs: the history, the live page and its polls, and the commands that a person gives."""

import uuid
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.core.exceptions import BadRequest as MalformedRequest
from django.db.models import Q, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, HttpResponseStopPolling

from audit.actor import Actor, person
from audit.models import AuditEntry
from contract.errors import DomainError
from executions import services
from executions.forms import CommentForm, RunFilter
from executions.heartbeat import engine_is_running, is_beating
from executions.live import Line, Live, is_failure, merge, words
from executions.models import Execution, JobEvent, Pacemaker, ServerRun
from executions.states import Kind, LaunchStatus
