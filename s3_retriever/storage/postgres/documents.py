"""The documents of an index in PostgreSQL: what can be done with them without the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from s3_retriever.arguments import CHANGES, FILTER, IDS, NAME, PATH, SOME_COUNT, checked
from s3_retriever.errors import IndexStorageError, InputError
from s3_retriever.forking import ForkLock
from s3_retriever.paths import bound
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief
from s3_retriever.search.filters import Filter, compile_filter
from s3_retriever.storage.base import Committed
from s3_retriever.storage.bundle import Imported
from s3_retriever.storage.maintenance import Compaction
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.namespaces import check_namespace
from s3_retriever.storage.postgres import bundles, upkeep
from s3_retriever.storage.postgres.description import describe, sizes_of
from s3_retriever.storage.postgres.namespaces import delete_namespace, namespaces_in
from s3_retriever.storage.postgres.state import THERE, State, read_state
from s3_retriever.storage.postgres.tables import Tables
from s3_retriever.storage.postgres.url import StoreUrl
from s3_retriever.storage.postgres.view import PostgresView
from s3_retriever.storage.postgres.writer import Change, Live, Writer
from s3_retriever.storage.segment_format import text_hash
from s3_retriever.storage.segments import relabelled
from s3_retriever.types import Document, EncodedDocument
from s3_retriever.validation import stored, stored_metadata

__all__ = ["PostgresDocuments"]

_COMMIT_TOKENS = 1 << 18
"""Tokens that are committed at once."""


class PostgresDocuments:
    """Reads and changes the documents of an index that any number of processes read and change.

    A :class:`~s3_retriever.storage.base.DocumentStore`.
    """

    def __init__(self, url: str | StoreUrl, card: ProfileCard, weights: str | None = None) -> None:
        """Open an index, or make it.

        Args:
            url: ``postgresql://user@host/database?schema=name``.
            card: of the profile whose codes it holds.
            weights: ``weights_digest`` of the model that will read texts for it; ``None`` if none.

        Raises:
            InputError: no such URL, or psycopg is missing.
            IndexMismatchError: it was made with another profile, other weights, a newer release.
            IndexStorageError: the server does not answer or refuses.
        """
        self.url = url if isinstance(url, StoreUrl) else StoreUrl.parse(url)
        self.card = card
        self.tables = Tables.open(self.url, card, weights)
        self._writer = Writer(self.tables)
        self._view: PostgresView | None = None
        self._lock = ForkLock()

    @property
    def location(self) -> str:
        """Its URL, without the password."""
        return str(self.url)

    @property
    def view(self) -> PostgresView:
        """The newest state."""
        state = read_state(self.tables.db)
        with self._lock:
            if self._view is None or self._view.state != state or self._view.is_partial:
                self._view = PostgresView(self.tables, state)
            return self._view

    def refresh(self) -> None:
        """See what others have committed; reading methods do so by themselves."""
        _ = self.view

    @checked(doc_id=NAME)
    def get(self, doc_id: str) -> Document | None:
        """A document as it was added, or ``None``.

        Raises:
            IndexStorageError: its text was damaged since.
        """
        return self.view.document(doc_id)

    @checked(ids=IDS)
    def get_many(self, ids: Iterable[str]) -> list[Document]:
        """Documents as they were added, each once; those that are not there are left out.

        Raises:
            IndexStorageError: a text was damaged since.
        """
        view = self.view
        found = (view.document(doc_id) for doc_id in dict.fromkeys(ids))
        return [document for document in found if document is not None]

    @checked(filter=FILTER, limit=SOME_COUNT)
    def ids(self, filter: Filter | None = None, limit: int | None = None) -> list[str]:
        """Ids of all documents, or of those whose metadata pass ``filter``, in order of addition.

        Args:
            filter: condition on their metadata.
            limit: most ids; ``None`` is no limit.

        Raises:
            InputError: an unknown operator.
        """
        return self.view.document_ids(filter)[:limit]

    def ids_of_text(self, text: str, filter: Filter | None = None) -> list[str]:
        """Ids of the documents whose text is exactly this one, in order of addition.

        Args:
            text: plain text.
            filter: condition on their metadata.

        Raises:
            InputError: an unknown operator.
        """
        view = self.view
        rows = view.ask(
            f"SELECT id FROM documents WHERE part = ANY(%s) AND {THERE} AND hash = %s "
            "ORDER BY number",
            *view.state.there,
            bytes.fromhex(text_hash(text)),
        )
        allowed = None if filter is None else set(view.document_ids(filter))
        return [doc_id for (doc_id,) in rows if allowed is None or doc_id in allowed]

    def metadata(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every document's id and metadata, which are not to be changed."""
        yield from self.view.all_metadata()

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return doc_id in self.view

    def __len__(self) -> int:
        """Number of documents."""
        return self.view.n_documents

    def check_writable(self) -> None:
        """Make sure that documents could be put there now.

        Raises:
            IndexStorageError: the server is a standby, or the role may not write.
        """
        ((may,),) = self.tables.query(
            "SELECT current_setting('transaction_read_only') = 'off' "
            "AND has_table_privilege('commits', 'INSERT')"
        )
        if not may:
            raise IndexStorageError(
                f"index {brief(self.url)} cannot be written: its server is a standby or "
                "read-only, or the role has no INSERT"
            )

    def known(self, documents: Iterable[Document]) -> set[str]:
        """Ids of the documents that are there with the same text."""
        wanted = {document.id: bytes.fromhex(text_hash(document.text)) for document in documents}
        hashes = self.view.hashes(list(wanted))
        return {doc_id for doc_id, found in hashes.items() if found == wanted[doc_id]}

    def commit(self, coded: Sequence[EncodedDocument], known: Sequence[Document] = ()) -> Committed:
        """See :class:`~s3_retriever.storage.base.DocumentStore`."""

        def decide(live: Mapping[str, Live], state: State) -> tuple[Change, Committed]:
            view = PostgresView(self.tables, state)
            missed, unchanged, recoded = [], [], []
            for document in known:
                there = live.get(document.id)
                if there is None or there.hash.hex() != text_hash(document.text):
                    missed.append(document)
                elif there.metadata == document.metadata:
                    unchanged.append(document.id)
                else:  # only the metadata changed: the codes are still good
                    recoded.append(relabelled(view.encoded([document.id])[0], document))
            add = [*recoded, *coded]
            ids = [item.document.id for item in add]
            done = Committed(
                added=tuple(i for i in ids if i not in live),
                updated=tuple(i for i in ids if i in live),
                unchanged=tuple(unchanged),
                missed=tuple(missed),
            )
            return Change(add), done

        ids = [*(item.document.id for item in coded), *(document.id for document in known)]
        done = self._writer.commit(ids, decide)
        if done.added or done.updated:
            self._tidy([*done.added, *done.updated])
        return done

    def _tidy(self, ids: Sequence[str]) -> None:
        """Keep batches few. What fails here costs time and no truth: the next commit does it."""
        upkeep.tidy(self.tables, ids)

    @checked(ids=IDS)
    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; returns how many were there.

        Args:
            ids: of the documents; a string is one id.

        Raises:
            InputError: something else than strings.
        """
        wanted = list(dict.fromkeys(ids))

        def decide(live: Mapping[str, Live], state: State) -> tuple[Change, int]:
            there = [doc_id for doc_id in wanted if doc_id in live]
            return Change(delete=there), len(there)

        return self._writer.commit(wanted, decide) if wanted else 0

    @checked(filter=FILTER)
    def delete_where(self, filter: Filter) -> int:
        """Remove the documents whose metadata pass ``filter``; returns how many.

        Raises:
            InputError: an empty or wrong filter.
        """
        if not filter:
            raise InputError(
                "an empty filter would delete every document; give their ids if so meant"
            )
        passes = compile_filter(filter)
        wanted = self.ids(filter)

        def decide(live: Mapping[str, Live], state: State) -> tuple[Change, int]:
            there = [i for i in wanted if i in live and passes(live[i].metadata)]
            return Change(delete=there), len(there)

        return self._writer.commit(wanted, decide) if wanted else 0

    @checked(changes=CHANGES)
    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int:
        """Replace documents' metadata, by id, without reading their texts again.

        Returns:
            How many of them were there.

        Raises:
            InputError: metadata that cannot be stored; nothing was changed.
        """
        plain = {}
        for doc_id, metadata in changes.items():
            try:
                plain[doc_id] = stored_metadata(metadata)
            except InputError as e:
                raise InputError(f"document {brief(doc_id)}: {e}") from e

        def decide(live: Mapping[str, Live], state: State) -> tuple[Change, int]:
            view = PostgresView(self.tables, state)
            add = []
            for doc_id, metadata in plain.items():
                if doc_id in live:
                    old = view.encoded([doc_id])[0]
                    add.append(relabelled(old, Document(doc_id, old.document.text, metadata)))
            return Change(add), len(add)

        n = self._writer.commit(plain, decide) if plain else 0
        if n:
            self._tidy(list(plain))
        return n

    def rename(self, names: Mapping[str, str]) -> int:
        """Give documents other ids, by their present ones, without reading their texts again.

        Returns:
            How many of them were there.

        Raises:
            InputError: an id is taken or wanted twice; nothing was changed.
        """

        def decide(live: Mapping[str, Live], state: State) -> tuple[Change, int]:
            there = {old: new for old, new in names.items() if old in live and old != new}
            if len(set(there.values())) < len(there) or any(new in live for new in there.values()):
                raise InputError("a document cannot be given the id of another one")
            view = PostgresView(self.tables, state)
            add = []
            for old, new in there.items():
                coded = view.encoded([old])[0]
                document = stored(Document(new, coded.document.text, coded.document.metadata))
                add.append(relabelled(coded, document))
            return Change(add, delete=list(there)), len(there)

        n = self._writer.commit([*names, *names.values()], decide) if names else 0
        if n:
            self._tidy(list(names.values()))
        return n

    def compact(self) -> Compaction:
        """Merge batches, and delete what was removed a minute ago and before.

        Questions and other writers go on meanwhile. Space is given back to the tables, by VACUUM,
        where the role may do that; the files get smaller with ``VACUUM FULL`` alone.
        """
        before = sizes_of(self.tables)
        upkeep.compact(self.tables)
        after = sizes_of(self.tables)
        return Compaction((before[0], after[0]), (before[1], after[1]))

    @checked(folder=PATH)
    def snapshot(self, folder: str | Path) -> NoReturn:
        """Not here: a copy of tables is the database's to make.

        Raises:
            InputError: always; says what to do.
        """
        raise InputError(
            f"index {brief(self.url)} is no folder that could be copied: use pg_dump --schema="
            f"{self.url.schema}, or write its documents with: s3-retriever export"
        )

    @checked(path=PATH)
    def export_bundle(self, path: str | Path) -> int:
        """Write all documents with their codes into one file; returns how many.

        Raises:
            InputError: there are none.
            IndexStorageError: the file cannot be written.
        """
        return bundles.export_bundle(self.view, bound(path))

    @checked(path=PATH)
    def import_bundle(self, path: str | Path) -> Imported:
        """Add the documents of a bundle, without reading them; same ids are replaced.

        Raises:
            IndexMismatchError: it was made with another profile.
            IndexStorageError: it is no bundle, or damaged.
        """
        return bundles.import_bundle(self, bound(path))

    def describe(self) -> dict[str, Any]:
        """Counts, bytes by table, and the profile's name and fingerprint, as plain JSON values."""
        return describe(self.view)

    @property
    def manifest(self) -> Manifest:
        """The profile that it was made with."""
        return self.tables.layout.manifest

    def namespace(self, name: str) -> str:
        """The URL of a namespace: a schema beside this one's."""
        return self.url.namespace(check_namespace(name)).with_password

    def namespaces(self) -> list[str]:
        """Names of the namespaces that hold an index, sorted."""
        return namespaces_in(self.tables.db)

    def delete_namespace(self, name: str) -> bool:
        """Delete the tables of a namespace; returns whether there were any.

        Raises:
            InputError: no name for a namespace.
            IndexLockedError: it is in use.
            IndexStorageError: a part of it lies on another server.
        """
        return delete_namespace(self.tables.db, name)
