"""What is read of Stripe's events, and what is not needed until one comes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

from overture.core.payments import Standing, Told
from overture.payments import stripe
from tests.cast import SIGN_UP
from tests.payments import recorded
from tests.payments.recorded import Contract

AT = SIGN_UP + timedelta(seconds=7)
CONTRACT = Contract("cus_1", SIGN_UP, period_ends_at=SIGN_UP + timedelta(days=28))


def read(event: dict[str, Any]) -> Told:
    found = stripe.event_of(json.dumps(event).encode())
    assert found is not None
    assert isinstance(found.news, Told)
    return found.news


def test_a_price_goes_by_its_id_its_lookup_key_and_its_product() -> None:
    event = recorded.created(CONTRACT, AT)
    assert read(event).terms.prices == (("price_1PgCareer", "career_monthly", "prod_QiCareer"),)

    (item,) = event["data"]["object"]["items"]["data"]
    item["price"]["product"] = {"id": "prod_QiCareer", "object": "product", "name": "Career"}
    event["data"]["object"]["customer"] = {"id": "cus_1", "object": "customer"}
    assert read(event).terms.prices == (("price_1PgCareer", "career_monthly", "prod_QiCareer"),)
    assert read(event).customer == "cus_1"

    del item["price"]
    assert read(event).terms.prices == (("price_1PgCareer", "prod_QiCareer"),)
    item["plan"]["product"] = "prod\u0007bell"
    assert read(event).terms.prices == (("price_1PgCareer",),), "what no setting could name"


def test_only_what_was_otherwise_before_counts_as_changed() -> None:
    renewed = CONTRACT.but(period_ends_at=SIGN_UP + timedelta(days=59))
    for old in (False, True):
        before, after = CONTRACT.but(old=old), renewed.but(old=old)
        assert read(recorded.updated(after, AT, before=before)).changed == frozenset()
        trial = before.but(status="trialing")
        assert read(recorded.updated(after, AT, before=trial)).changed == frozenset()
        dearer = after.but(plans=("premium_business",), status="past_due")
        told = read(recorded.updated(dearer, AT, before=before))
        assert told.changed == {"prices", "standing"}
        assert told.terms.standing is Standing.FAILING
        ending = after.but(cancel_at_period_end=True)
        told = read(recorded.updated(ending, AT, before=before))
        assert told.changed == {"ends_at"}
        assert told.terms.ends_at == SIGN_UP + timedelta(days=59)


def test_the_library_is_not_imported_before_the_first_event() -> None:
    start = "import sys, overture.cli, overture.serve.process, overture.worker"
    done = subprocess.run(
        [sys.executable, "-c", f"{start}; sys.exit('stripe' in sys.modules)"], check=False
    )
    assert done.returncode == 0
