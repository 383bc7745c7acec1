"""The external models that a server asks, without asking them."""

from __future__ import annotations

import dataclasses

from adaptive_engine.services.providers import Providers
from adaptive_engine.services.sealing import Sealer
from adaptive_engine.settings import ProviderSettings
from adaptive_engine.types import Deployment, ExternalModel, Model, Project, uuid7


def test_a_changed_registration_goes_on_counting() -> None:
    providers = Providers(Sealer(b"s" * 32), ProviderSettings())
    model = Model(uuid7(), "rented", "", "fake", (), 0, 0, external=ExternalModel("e"))
    deployment = Deployment(uuid7(), Project(uuid7(), "one", "", "", 0), model, True, True, 0)
    before = providers.get(deployment)
    before.outcomes["ok"] += 2
    assert providers.get(deployment) is before
    changed = dataclasses.replace(model, external=ExternalModel("other"))
    after = providers.get(dataclasses.replace(deployment, model=changed))
    assert after is not before
    assert after.outcomes == {"ok": 2}
    assert providers.asked() == [after]
