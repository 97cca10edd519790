"""The dashboard and the alert rules: they ask for nothing that the route does not tell."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from redis_middleware import MemoryStorage
from redis_middleware.layers.health.__main__ import SHIPPED, main

from ...edges import WSGI
from .test_metrics import NEAR, PATH, used

HERE = files("redis_middleware.layers.health")
DASHBOARD = json.loads((HERE / "grafana.json").read_text())
RULES = [rule for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
TARGETS = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [*TARGETS, *[(rule["alert"], rule["expr"]) for rule in RULES]]


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """The labels of each sample that the route tells, with what a server adds to those of Redis alone."""
    body = used(WSGI(), MemoryStorage())(path=PATH, peer=NEAR).body.decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(body):  # type: ignore[no-untyped-call]  # it has no types
        for name in [sample.name for sample in family.samples] or [f"{family.name}_total", family.name]:
            found.setdefault(name, {"job", "instance"}).update(*[sample.labels for sample in family.samples])
    return found | {name: {"job", "node"} for name in ("redis_middleware_clients", "redis_middleware_clients_limit")}


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_a_query_names_what_there_is(told: dict[str, set[str]], title: str, expression: str) -> None:
    names = re.findall(r"redis_middleware_\w+", expression)
    assert names
    assert set(names) <= told.keys()
    for name, selector in re.findall(r"(redis_middleware_\w+)\{(.*?)\}", expression):
        assert set(re.findall(r"(\w+)=", selector)) <= told[name]
    assert expression.count("(") == expression.count(")")
    assert "rate(" not in expression or all(name.endswith(COUNTED) for name in re.findall(r"rate\((\w+)", expression))


COUNTED = ("_total", "_count", "_sum", "_bucket")


def test_the_dashboard_can_be_imported() -> None:
    assert DASHBOARD["title"] == "redis_middleware"
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job"}
    places: list[Any] = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_says_what_is_wrong_and_how_bad_it_is(rule: dict[str, Any]) -> None:
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}
    labels = set(re.findall(r"by \(([\w, ]+)\)", rule["expr"])[-1].split(", ")) | {"job", "layer", "node"}
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= labels


@pytest.mark.parametrize("name", SHIPPED)
def test_the_command_prints_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 0
    assert capsys.readouterr().out == (HERE / name).read_text()


def test_the_command_knows_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layer.py"]) == 2
    assert "usage" in capsys.readouterr().err
