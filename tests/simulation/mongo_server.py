"""MongoDB's side: documents, unique indexes, and writes one at a time; every change is shown to a watcher."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pymongo import InsertOne, UpdateMany, UpdateOne
from pymongo.errors import DuplicateKeyError

from tests.simulation.mongo_queries import Document, copied, matches
from tests.simulation.mongo_updates import updated, upserted

DUPLICATE: Final = 11000
Watch = Callable[[str, Document | None, Document | None], None]


class Server:
    """The collections of all databases, by `database.collection`; every change is shown to the watcher first."""

    def __init__(self, now: Callable[[], Any], watch: Watch) -> None:
        self.now, self._watch = now, watch
        self._collections: dict[str, dict[str, Document]] = {}

    def documents(self, namespace: str) -> dict[str, Document]:
        """By id; only `replace` changes them."""
        return self._collections.setdefault(namespace, {})

    def replace(self, namespace: str, name: str, document: Document | None) -> None:
        """Put or delete one document."""
        kept = self.documents(namespace)
        if kept.get(name) != document:
            self._watch(namespace, kept.get(name), document)
        if document is None:
            kept.pop(name, None)
        else:
            kept[name] = document

    def found(self, namespace: str, query: Mapping[str, Any]) -> list[Document]:
        """What a filter means; not copied."""
        kept, wanted = self.documents(namespace), query.get("_id")
        if isinstance(wanted, str):
            some: Iterable[Document] = [kept[wanted]] if wanted in kept else []
        elif isinstance(wanted, dict) and "$in" in wanted:
            some = [kept[name] for name in dict.fromkeys(wanted["$in"]) if name in kept]
        else:
            some = kept.values()
        now = self.now()
        return [each for each in some if matches(each, query, now)]

    def insert(self, namespace: str, document: Document) -> None:
        """Raises DuplicateKeyError that names the index."""
        kept = self.documents(namespace)
        if document["_id"] in kept:
            raise DuplicateKeyError("_id", DUPLICATE, {"keyPattern": {"_id": 1}})
        if namespace.endswith(".mutations"):
            self._claim(kept.values(), document)
        self.replace(namespace, document["_id"], copied(document))

    @staticmethod
    def _claim(kept: Iterable[Document], document: Document) -> None:
        places = [(place["record"], place["sequence"]) for place in document.get("places") or ()]
        for each in kept:
            if (each.get("key"), each["tenant"]) == (document.get("key"), document["tenant"]):
                raise DuplicateKeyError("key", DUPLICATE, {"keyPattern": {"key": 1, "tenant": 1}})
            if places and any((one["record"], one["sequence"]) in places for one in each.get("places") or ()):
                raise DuplicateKeyError("places", DUPLICATE, {"keyPattern": {"places": 1}})

    def update(self, namespace: str, query: Mapping[str, Any], update: Any, upsert: bool, many: bool) -> int:
        """How many documents matched; -1: inserted."""
        found, now = self.found(namespace, query), self.now()
        if not found and upsert:
            self.insert(namespace, upserted(query, update, now))
            return -1
        for each in found if many else found[:1]:
            self.replace(namespace, each["_id"], updated(each, update, now))
        return len(found) if many else len(found[:1])

    def write(self, operation: Any, namespace: str) -> int:
        """One operation of a bulk."""
        if isinstance(operation, InsertOne):
            self.insert(namespace, operation._doc)
            return 0
        assert isinstance(operation, (UpdateOne, UpdateMany))
        many = isinstance(operation, UpdateMany)
        return self.update(namespace, operation._filter, operation._doc, bool(operation._upsert), many)
