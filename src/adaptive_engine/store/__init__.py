"""The store: projects, models, keys and every interaction, in one database.

Open it with `Database.open`, take a transaction with `read()` or `write()`, and hand that to the functions of a noun's
module (`store.projects`, `store.interactions`, ...). Requests record their interactions through `Recorder`.
"""

from sqlalchemy import Connection as Connection

from adaptive_engine.store.database import Database as Database
from adaptive_engine.store.driver import Durability as Durability
from adaptive_engine.store.driver import PoolOptions as PoolOptions
from adaptive_engine.store.migrations import StoreOutdated as StoreOutdated
from adaptive_engine.store.migrations import StoreTooNew as StoreTooNew
from adaptive_engine.store.presence import Presence as Presence
from adaptive_engine.store.recorder import Recorder as Recorder
from adaptive_engine.store.recorder_stats import RecorderStats as RecorderStats
