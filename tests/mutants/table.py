"""Known-bad variants of the code, each with the test that catches it: a test that catches nothing is a defect."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands once in `file` and becomes `new`; `test` (path::name below tests/) must fail then."""

    name: str
    file: str
    old: str
    new: str
    test: str


PROTOCOL: Final = "integration/test_storage_protocol.py"
KINDS: Final = "integration/test_storage_kinds.py"
ERASURE: Final = "integration/test_storage_erasure.py"

MUTANTS: Final = (
    Mutant(
        "offsets are committed before the work is done",
        "shared/consume.py",
        "        async with self._in_hand:\n            try:\n                done = await self._work_off(records)",
        "        async with self._in_hand:\n            await commit(consumer, next_offsets(records))\n"
        "            try:\n                done = await self._work_off(records)",
        "integration/test_consume.py::test_an_absent_dependency_holds_the_batch_and_loses_nothing",
    ),
    Mutant(
        "without a commit the position does not go back",
        "shared/consume.py",
        "            else:\n                go_back(records, consumer)",
        "",
        "integration/test_consume.py::test_a_bug_in_deciding_about_a_bug_commits_nothing_past_it",
    ),
    Mutant(
        "a listener hears of its partitions only after the broker was asked",
        "shared/lost_logs.py",
        "        await self._listener.on_partitions_assigned(assigned)\n        try:",
        "        await self._consumer().committed(next(iter(assigned)))\n"
        "        await self._listener.on_partitions_assigned(assigned)\n        try:",
        "unit/test_lost_logs.py::test_a_listener_hears_of_its_partitions_before_the_broker_is_asked",
    ),
    Mutant(
        "a batch that was dropped is committed when more is asked for",
        "shared/consume.py",
        "        if not self._leaving:\n            await self._commit(",
        "        if True:\n            await self._commit(",
        "unit/test_positions.py::test_a_batch_that_was_dropped_while_its_partition_was_given_away_is_not_committed",
    ),
    Mutant(
        "a refused commit is taken for a commit",
        "shared/commits.py",
        "        return False\n    return True",
        "    return True",
        "unit/test_fetcher_consumer.py::test_refused_commit_is_made_again",
    ),
    Mutant(
        "the fetcher commits past what is not passed on",
        "services/fetcher/window.py",
        "        while lane.started and lane.started[0] in lane.done:",
        "        while lane.started and lane.done:\n            lane.done.add(lane.started[0])",
        "unit/test_fetcher_consumer.py::test_slow_download_holds_back_the_commit_of_its_partition_and_nothing_else",
    ),
    Mutant(
        "offsets without a record are committed past what is in flight",
        "services/fetcher/window.py",
        "        if not lane.started and position > lane.newest:",
        "        if position > lane.newest:",
        "unit/test_fetcher_consumer.py::test_offsets_that_hold_no_record_are_committed_once_nothing_before_them_is_in_flight",
    ),
    Mutant(
        "a decision is written without compare-and-set",
        "services/storage/ledger.py",
        '                {"_id": name, "status": ACCEPTED},\n                {"$set": {"status": APPLYING',
        '                {"_id": name},\n                {"$set": {"status": APPLYING',
        f"{PROTOCOL}::test_of_two_decisions_the_first_holds_and_of_two_ends_too",
    ),
    Mutant(
        "the end is written without compare-and-set",
        "services/storage/effects.py",
        '{"_id": mutation["_id"], "status": APPLYING}, {"$set": ended',
        '{"_id": mutation["_id"]}, {"$set": ended',
        f"{PROTOCOL}::test_of_two_decisions_the_first_holds_and_of_two_ends_too",
    ),
    Mutant(
        "a late update overwrites what came after it",
        "services/storage/effects.py",
        '{"version": {"$lt": place["sequence"]}, "removedAt": None}',
        '{"removedAt": None}',
        f"{KINDS}::test_a_zombies_late_update_changes_nothing_that_came_after_it",
    ),
    Mutant(
        "nobody wakes the successor",
        "services/storage/work.py",
        '        return [of_parked(mutation) for mutation in found if mutation.get("parked")]',
        "        return []",
        f"{PROTOCOL}::test_an_early_mutation_waits_and_is_worked_off_by_whoever_ends_its_predecessor",
    ),
    Mutant(
        "everything has its turn at once",
        "shared/turns.py",
        '        smallest.get(place["record"], (place["sequence"],))[0] >= place["sequence"]',
        "        True",
        f"{PROTOCOL}::test_an_early_mutation_waits_and_is_worked_off_by_whoever_ends_its_predecessor",
    ),
    Mutant(
        "an outcome is not owed",
        "services/storage/effects.py",
        '        "owed": True,\n',
        "",
        f"{PROTOCOL}::test_a_create_with_an_inline_file_ends_completed_and_true_of_the_stored_bytes",
    ),
    Mutant(
        "the debt is cleared before the delivery is entered",
        "services/notifier/handler.py",
        "        # A kill after the insert leaves leased",
        "        await self._ledger.settle(environment, set(owed))\n        # A kill after the insert leaves leased",
        "unit/test_notifier_handler.py::test_an_absent_database_leaves_no_room_taken_and_the_debt_in_place",
    ),
    Mutant(
        "an object goes with the first of its owners",
        "services/storage/handler.py",
        "        keys = [key for name, key in candidates.items() if name not in living]",
        "        keys = list(candidates.values())",
        f"{KINDS}::test_an_object_stays_until_its_last_owner_goes",
    ),
    Mutant(
        "an upload is claimed by whoever comes",
        "services/storage/uploads.py",
        '"tenant": mutation["tenant"], "claimedBy": holder, "endedAt": None}',
        '"tenant": mutation["tenant"], "endedAt": None}',
        f"{KINDS}::test_of_two_assigns_of_one_upload_at_once_exactly_one_gets_it",
    ),
    Mutant(
        "an erasure keeps names",
        "services/storage/traces.py",
        '{"$mergeObjects": ["$$each", {"filename": None}]}',
        '"$$each"',
        f"{ERASURE}::test_after_an_erasure_nothing_personal_is_found_anywhere",
    ),
    Mutant(
        "a redirect is followed unchecked",
        "services/fetcher/downloader.py",
        "            following = check_url(str(target.url.join(location)), self._policy)",
        "            joined = target.url.join(location)\n"
        "            following = ParsedUrl(joined, joined.scheme, joined.host, joined.port or 80)",
        "unit/test_fetcher_downloader.py::test_redirect_to_a_refused_place_looks_like_a_dead_server",
    ),
    Mutant(
        "the standard library says which address is public",
        "shared/addresses.py",
        "    if isinstance(address, IPv4Address):\n"
        "        return not any(address in network for network in IPV4_REFUSED)\n"
        "    return address in IPV6_GLOBAL and not any(address in network for network in IPV6_REFUSED)",
        "    return address.is_global",
        "unit/test_addresses.py::test_first_and_last_address_of_a_range_are_refused",
    ),
    Mutant(
        "a name is judged by the first of its addresses",
        "shared/dialler.py",
        '        if not permitted or (len(permitted) < len(addresses) and host.removesuffix(".") != "localhost"):',
        "        if not permitted:",
        "unit/test_egress.py::test_name_with_any_refused_address_is_refused",
    ),
    Mutant(
        "only content is counted of what an origin sends",
        "shared/framing.py",
        "        if self._taken > limits.FRAMING_BYTES + 2 * content or len(self._buffer) > ANSWERS_WAITING:",
        "        if content > limits.FRAMING_BYTES * 1000:",
        "unit/test_rude_origins.py::test_endless_framing_is_cut_after_little",
    ),
    Mutant(
        "a filtered port looks unlike a closed one",
        "services/notifier/sender.py",
        "(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)",
        "(httpx2.ConnectError, httpx2.UnsupportedProtocol)",
        "integration/test_rude_receivers.py::test_what_can_not_be_reached_can_not_be_told_apart",
    ),
    Mutant(
        "a file of one byte more is taken",
        "services/fetcher/downloader.py",
        "                if spool.size > limits.URL_FILE_BYTES:",
        "                if spool.size > limits.URL_FILE_BYTES + 1:",
        "unit/test_fetcher_downloader.py::"
        "test_file_of_one_byte_more_than_the_limit_is_refused_though_its_size_was_not_announced",
    ),
    Mutant(
        "half a file passes for a whole one",
        "services/fetcher/downloader.py",
        '            raise Failed("source_incomplete", transient=True) from error',
        "            return",
        "unit/test_fetcher_downloader.py::test_half_a_file_never_passes_for_a_whole_one",
    ),
    Mutant(
        "a webhook's body is serialised again after it was signed",
        "services/notifier/courier.py",
        "        return await self._sender.send(pending.url, headers, pending.body)",
        "        import json\n\n"
        "        return await self._sender.send(pending.url, headers, json.dumps(json.loads(pending.body)).encode())",
        "unit/test_notifier_courier.py::test_what_is_sent_verifies_and_carries_id_time_and_trace",
    ),
    Mutant(
        "only the oldest secret signs",
        "services/notifier/signing.py",
        "for secret in secrets)",
        "for secret in secrets[:1])",
        "unit/test_notifier_signing.py::test_while_secrets_rotate_each_of_them_verifies",
    ),
    Mutant(
        "a webhook has another id in every attempt",
        "services/notifier/courier.py",
        "webhook_id(pending.delivery), int(at.timestamp())",
        'f"{webhook_id(pending.delivery)}-{pending.made}", int(at.timestamp())',
        "unit/test_notifier_courier.py::test_what_is_sent_verifies_and_carries_id_time_and_trace",
    ),
    Mutant(
        "a key is replayed whatever came with it",
        "services/ingest/intake.py",
        '        if held.get("fingerprint") != write.fingerprint:',
        "        if False:",
        "unit/test_ingest_writes.py::test_same_key_with_another_request_is_refused",
    ),
    Mutant(
        "a record is read without its tenant",
        "services/ingest/reads.py",
        '        query = {"_id": record_id, "tenant": tenant, "type": record_type, "removedAt": None}',
        '        query = {"_id": record_id, "type": record_type, "removedAt": None}',
        "integration/test_ingest_mongo_reads.py::test_erased_and_foreign_candidates_are_not_there",
    ),
    Mutant(
        "an attachment is read without its tenant",
        "services/ingest/reads.py",
        '        query = {"_id": attachment_id, "tenant": tenant, "removedAt": None}',
        '        query = {"_id": attachment_id, "removedAt": None}',
        "integration/test_ingest_mongo_reads.py::test_only_live_attachments_that_the_record_still_owns_are_listed",
    ),
    Mutant(
        "any secret of a known key opens",
        "shared/tenants.py",
        '        right = hmac.compare_digest(digest_of(parts[2]), document["hash"] if document else NO_HASH)',
        "        right = document is not None",
        "integration/test_tenants.py::test_a_key_names_its_tenant_and_a_wrong_secret_names_nobody",
    ),
    Mutant(
        "a revoked key opens",
        "shared/tenants.py",
        '{"_id": parts[1], "revokedAt": {"$exists": False}}',
        '{"_id": parts[1]}',
        "integration/test_tenants.py::test_a_revoked_key_ends_within_five_seconds_in_every_process",
    ),
    Mutant(
        "base64 is decoded as it comes",
        "shared/base64text.py",
        "pybase64.b64decode(text, validate=True)",
        "pybase64.b64decode(text)",
        "unit/test_base64text.py::test_no_character_of_another_alphabet_is_passed_over",
    ),
)
