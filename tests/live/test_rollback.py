"""Back to what each node ran before: the last release, an older one, a mixed fleet, and when there is nothing."""
from scene import expect_world, refused, release, run

FLEET = {"varnish": None, "n_nodes": 3}


def test_nothing_to_roll_back(fleet):
    refused(fleet, ["rollback", "--yes", "prod"], 2)


def test_last_release(fleet):
    release(fleet, "v2")
    release(fleet, "v7")
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v2")


def test_again_goes_further_back_and_by_number_forward(fleet):
    """Release 2 is taken back already: a second rollback must not bring v7 again."""
    run(fleet, "rollback", "--yes", "prod")
    expect_world(fleet, "v1")
    refused(fleet, ["rollback", "--yes", "prod"], 2, "no finished release to take back")
    run(fleet, "rollback", "--release", "4", "--yes", "prod")
    expect_world(fleet, "v2")


def test_older_release(fleet):
    """Release 2 went from v2 to v7, release 1 from v1 to v2: undoing 1 leads to v1."""
    run(fleet, "rollback", "--release", "1", "--yes", "prod")
    expect_world(fleet, "v1")


def test_each_node_to_its_own(fleet):
    """--only left the fleet mixed on purpose; the way back restores exactly that."""
    release(fleet, "v2", "--only", "app2")
    mixed = [n.running_rev() for n in fleet.nodes]
    assert mixed == [fleet.revs[v] for v in ("v1", "v2", "v1")]
    release(fleet, "v7")
    expect_world(fleet, "v7")
    run(fleet, "rollback", "--yes", "prod")
    assert [n.running_rev() for n in fleet.nodes] == mixed
