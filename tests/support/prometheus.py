"""Reads Prometheus' text form strictly: what this refuses, a scraper might refuse as well."""

import re
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


@dataclass(slots=True)
class Scrape:
    """One page: samples by name and labels, types by name of the metric."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> "Scrape":
        scrape = cls()
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in scrape.types, f"two types of {name}"
                scrape.types[name] = kind
            elif not line.startswith("# HELP "):
                scrape._add(line)
        return scrape

    def _add(self, line: str) -> None:
        found = _SAMPLE.fullmatch(line)
        assert found, line
        labels, place = [], 0
        for label in _LABEL.finditer(found[2] or ""):
            assert label.start() == place, line
            place = label.end()
            labels.append((label[1], label[2]))
        assert place == len(found[2] or ""), line
        key = (found[1], frozenset(labels))
        assert len(dict(labels)) == len(labels), line
        assert key not in self.samples, f"twice: {line}"
        metric = re.sub(r"_(bucket|count|sum)$", "", found[1])
        assert found[1] in self.types or metric in self.types, f"no type: {line}"
        self.samples[key] = float(found[3])

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels."""
        wanted = set(labels.items())
        return sum(v for (each, found), v in self.samples.items() if each == name and wanted <= found)

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of each sample of that name."""
        return [dict(found) for each, found in self.samples if each == name]
