"""The tables. Times are epoch milliseconds, ids are UUIDs, JSON is text that we write and read ourselves.

A change here needs a new file in `migrations/versions/`; `tests/unit/store/test_database.py` fails until both agree.
"""

from adaptive_engine.store.tables.ab_tests import ab_test_arms as ab_test_arms
from adaptive_engine.store.tables.ab_tests import ab_tests as ab_tests
from adaptive_engine.store.tables.access import api_keys as api_keys
from adaptive_engine.store.tables.access import project_shares as project_shares
from adaptive_engine.store.tables.access import roles as roles
from adaptive_engine.store.tables.access import team_members as team_members
from adaptive_engine.store.tables.access import teams as teams
from adaptive_engine.store.tables.access import users as users
from adaptive_engine.store.tables.graders import graders as graders
from adaptive_engine.store.tables.graders import judgements as judgements
from adaptive_engine.store.tables.idempotency import idempotency_keys as idempotency_keys
from adaptive_engine.store.tables.installation import installation as installation
from adaptive_engine.store.tables.interactions import ENDED_BADLY as ENDED_BADLY
from adaptive_engine.store.tables.interactions import images as images
from adaptive_engine.store.tables.interactions import interaction_images as interaction_images
from adaptive_engine.store.tables.interactions import interactions as interactions
from adaptive_engine.store.tables.interactions import labels as labels
from adaptive_engine.store.tables.metadata import metadata as metadata
from adaptive_engine.store.tables.metrics import comparisons as comparisons
from adaptive_engine.store.tables.metrics import metrics as metrics
from adaptive_engine.store.tables.metrics import outcomes as outcomes
from adaptive_engine.store.tables.metrics import scores as scores
from adaptive_engine.store.tables.projects import deployments as deployments
from adaptive_engine.store.tables.projects import models as models
from adaptive_engine.store.tables.projects import projects as projects
