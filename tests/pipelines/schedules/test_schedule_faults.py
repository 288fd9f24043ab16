"""`gift schedule apply` with a fault at every write: never two enabled, and the next apply finishes what is left."""

import pytest
from kfp_server import Fault, KfpServer
from scheduling import Gift, check_never_two, check_settled, state, write

from pipelines.kubeflow import kfp_api

FAULTS = {
    "500": Fault(500, applied=False),
    "500 though applied": Fault(500, applied=True),
    "409": Fault(409, applied=False),
    "400": Fault(400, applied=False),
    "no answer": Fault(None, applied=False),
    "no answer though applied": Fault(None, applied=True),
    "hangs": Fault(None, applied=False, hangs=True),
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("write_number", range(5))
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("start", ["empty", "older"])
def test_after_one_fault_the_schedule_is_right_at_the_latest_with_the_next_apply(
    gift: Gift, server: KfpServer, commit: str, start: str, fault: str, write_number: int
) -> None:
    if start == "older":
        gift("apply")
    write("nightly", commit, cron='"0 0 3 * * *"', overrides="[seed=1]")
    server.recover()
    server.write_faults = {write_number: FAULTS[fault]}
    status, output = gift("apply")
    assert server.arrived > write_number, "the fault must have happened"
    assert status == 0 or fault in ("400", "409"), output
    if status:
        assert output.splitlines()[-1].startswith("error: KFP at http://127.0.0.1")
        assert start == "empty" or "nightly" in server.history[-1].enabled, "the old one must be back"
        gift("apply")
    check_never_two(server)
    check_settled(server, gift, "0 0 3 * * *")


@pytest.mark.parametrize("write_number", range(5))
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("start", ["empty", "older"])
def test_an_apply_that_is_cut_off_anywhere_is_finished_by_the_next(
    gift: Gift, server: KfpServer, commit: str, start: str, applied: bool, write_number: int
) -> None:
    if start == "older":
        gift("apply")
    write("nightly", commit, cron='"0 0 3 * * *"', overrides="[seed=1]")
    server.recover()
    server.write_faults = {write_number: Fault(None, applied)}
    server.down_after_write = write_number + 1
    status, output = gift("apply")
    assert status == 1
    assert "goes on from here" in output
    check_never_two(server)
    server.recover()
    assert gift("apply")[0] == 0
    check_never_two(server)
    check_settled(server, gift, "0 0 3 * * *")


def test_where_the_new_one_cannot_be_enabled_the_old_one_comes_back(gift: Gift, server: KfpServer, commit: str) -> None:
    gift("apply")
    (old,) = server.recurring_runs
    write("nightly", commit, cron='"0 0 3 * * *"')
    server.recover()
    server.write_faults = dict.fromkeys((2, 3, 4), Fault(500, applied=True))  # enabled, but nobody is told
    assert gift("apply")[0] == 1
    check_never_two(server)
    assert server.recurring_runs[old].mode == "ENABLE"
    server.recover()
    assert gift("apply")[0] == 0
    check_settled(server, gift, "0 0 3 * * *")


@pytest.mark.usefixtures("hasty")
def test_a_schedule_that_is_made_twice_after_a_time_out_is_never_enabled_twice_and_is_tidied(
    gift: Gift, server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write_faults = {3: Fault(None, applied=True, hangs=True)}  # made only after the caller gave up and repeated
    assert gift("apply")[0] == 0
    monkeypatch.setattr(kfp_api, "READ_SECONDS", 5.0)
    while len(server.recurring_runs) < 2:
        gift("plan")
    assert [mode for _, _, mode in state(server)] == ["DISABLE", "ENABLE"]
    status, output = gift("plan")
    assert (status, output) == (2, "nightly  tidy (delete 1 left beside the right one)\n")
    assert gift("apply")[0] == 0
    check_never_two(server)
    check_settled(server, gift, "0 0 2 * * *")


def test_one_whose_resource_in_kubernetes_is_gone_is_deleted_and_replaced(
    gift: Gift, server: KfpServer, commit: str
) -> None:
    gift("apply")
    (old,) = server.recurring_runs
    server.without_resource = {old}
    write("nightly", commit, cron='"0 0 3 * * *"')
    status, output = gift("apply")
    assert (status, old in server.recurring_runs) == (0, False), output
    check_settled(server, gift, "0 0 3 * * *")


def test_a_kfp_that_can_switch_nothing_keeps_the_old_one(gift: Gift, server: KfpServer, commit: str) -> None:
    gift("apply")
    (old,) = server.recurring_runs
    write("nightly", commit, cron='"0 0 3 * * *"')
    server.switches = False
    assert gift("apply")[0] == 1
    assert server.recurring_runs[old].mode == "ENABLE"
    server.switches = True
    assert gift("apply")[0] == 0
    check_never_two(server)
    check_settled(server, gift, "0 0 3 * * *")


def test_a_leftover_beside_an_enabled_one_is_made_anew(gift: Gift, server: KfpServer, commit: str) -> None:
    """Enabled a day later, it would make up at once for the starts since it was created."""
    gift("apply")
    write("nightly", commit, cron='"0 0 3 * * *"')
    server.recover()
    server.write_faults = {0: Fault(None, applied=True)}
    server.down_after_write = 1
    assert gift("apply")[0] == 1
    (leftover,) = [key for key, run in server.recurring_runs.items() if run.mode == "DISABLE"]
    server.recover()
    assert gift("apply")[0] == 0
    assert leftover not in server.recurring_runs
    check_never_two(server)
    check_settled(server, gift, "0 0 3 * * *")
