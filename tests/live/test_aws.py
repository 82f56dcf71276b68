# SPDX-License-Identifier: MIT
"""AWS's balancers: moto holds instances, groups and tags behind a strict layer (tests/lib/aws_world.py), the nodes are real servers on
loopback addresses. Each request's signature is recomputed by botocore; what came out is asked by boto3."""
import collections

import pytest

import salt_env
import scene
from aws import SECRET, Aws
from load import Load
from scene import end, expect_world, release, run, start_release, texts, told

FLEET = {"varnish": None, "n_nodes": 3, "balancers": 0, "pillar": {"balancer": ""}}


@pytest.fixture(scope="module")
def aws(fleet):
    try:
        world = Aws(fleet)
    except salt_env.Unavailable as why:
        pytest.skip(str(why))
    fleet.write_pillar(servers=world.servers(), balancer=world.block())
    scene.wait_for("all targets are healthy", world.all_healthy, seconds=20, every=0.2)
    return world


def write(fleet, aws, balancer, **more):
    fleet.write_pillar(servers=aws.servers(), balancer=balancer, **more)


def test_a_release_behind_target_groups_loses_no_request(fleet, aws):
    front = f"{fleet.net}.4:{fleet.base + 80}"
    aws.world(front=[*front.split(":")[:1], fleet.base + 80, aws.group])
    volume = aws.boto("ec2", "create_volume", AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    aws.admin = aws.target_group("admin", 1)
    scene.wait_for("its targets are not new any more", lambda: set(aws.states(aws.admin).values()) == {"healthy"}, seconds=20, every=0.05)
    step = (f"aws.call: {{service: ec2, action: CreateSnapshot, region: eu-west-1, profile: shop, endpoint: \"{aws.url}\", "
            f"params: {{VolumeId: {volume}}}, keep: [snapshotId]}}")
    write(fleet, aws, aws.block(target_group="[site, admin]"), extra=f"  hooks: {{before: [{{{step}}}]}}\n")
    aws.log()
    before = scene.snapshot(fleet)["nodes"]
    broken = "<Response><Errors><Error><Code>InternalError</Code><Message>later</Message></Error></Errors></Response>"
    aws.world(fault=[{"action": "CreateSnapshot", "status": 500, "body": broken}], lag=1)
    with Load(fleet, targets=[front], rate=20, path="/slow?ms=200") as load:
        stopped = release(fleet, "v2", status=1)
        assert "nobody knows whether AWS did CreateSnapshot" in stopped.stdout + stopped.stderr, told(stopped)
        left = scene.snapshot(fleet)["nodes"]
        assert {n: (pid, link) for n, (pid, link, _) in left.items()} == {n: (pid, link) for n, (pid, link, _) in before.items()}
        assert "DeregisterTargets" not in {r["action"] for r in aws.log()}
        result = release(fleet, "v2")
    aws.world(lag=0)
    assert load.report["failed"] == 0, (load.report, told(result))
    expect_world(fleet, "v2")
    assert aws.all_healthy(), aws.states()
    calls = collections.Counter(r["action"] for r in aws.log() if r["agent"] == "release")
    assert calls["DeregisterTargets"] == calls["RegisterTargets"] == 6, calls
    snapshot, = [x["SnapshotId"] for x in aws.boto("ec2", "describe_snapshots", OwnerIds=["self"])["Snapshots"] if x["VolumeId"] == volume]
    assert snapshot in run(fleet, "log", "prod").stdout
    print(f"calls for 3 nodes: {dict(calls)}; load: {load.report}")
    for text in (result.stdout, result.stderr, open(fleet.state, "rb").read().decode("latin1")):
        assert SECRET not in text
    shown = run(fleet, "lb", "prod")
    assert sorted(line.split()[:4] for line in shown.stdout.splitlines()[1:]) == sorted(
        ["eu-west-1", group, i, "healthy"] for i in aws.ids.values() for group in ("admin", "site")), told(shown)


def test_scaling_groups_classic_balancers_and_a_drain_that_somebody_undoes(fleet, aws):
    """app2 is registered again by somebody while it drains; the instances stand by in their group meanwhile."""
    aws.scaling_group("web")
    aws.classic("old")
    node, target = fleet.node("app2"), {"Id": aws.ids["app2"]}
    write(fleet, aws, "\n".join(["    - asg: " + aws.inner(target_group=None, group="web"),
                                 "    - elb: " + aws.inner(target_group=None, name="old"), "    - elbv2: " + aws.inner()]))
    process = start_release(fleet, "v1")
    scene.wait_for("app2 drains", lambda: aws.states().get(target["Id"]) == "draining", seconds=60, every=0.02)
    assert aws.lifecycles()[target["Id"]] == "Standby"
    assert target["Id"] not in aws.members("old")
    aws.boto("elbv2", "register_targets", TargetGroupArn=aws.group, Targets=[target])
    assert node.running_rev() == fleet.revs["v2"], "too late to prove anything: app2 was already changed"
    assert end(process, fleet, 120) == 0, texts(fleet)
    assert "forgot a drain 1 time" in fleet.log("release.out"), texts(fleet)
    expect_world(fleet, "v1")
    assert aws.all_healthy()
    assert set(aws.lifecycles().values()) == {"InService"} and len(aws.lifecycles()) == 3
    assert aws.members("old") == set(aws.ids.values())


def says(fleet, aws, words, block=None, status=6, args=("lb", "prod"), env=None, skew=0, fault_status=0, **fault):
    """The product says it in so many words, with that exit status, and touches nothing."""
    write(fleet, aws, block or aws.block())
    before = (aws.states(), scene.snapshot(fleet)["nodes"])
    aws.world(fault=[dict(fault, status=fault_status)] if fault else [], skew=skew)
    text = run(fleet, *args, status=status, env=env)
    text = text.stdout + text.stderr
    for word in words:
        assert word in text, f"'{word}' is not said: {text}"
    assert SECRET not in text and "Canonical String" not in text, text
    aws.world(fault=[], skew=0)
    assert (aws.states(), scene.snapshot(fleet)["nodes"]) == before
    return text


def test_what_is_wrong_is_told_and_nothing_touched(fleet, aws):
    throttled = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
    check = {"args": ("check", "prod")}
    says(fleet, aws, ["no target group nosuch", "(there: ", "site)"], aws.block(target_group="nosuch"))
    says(fleet, aws, ["us-east-2", "no target group site", "there: none"], aws.block(region="us-east-2"))
    says(fleet, aws, ["region is eu-west-1", "is of us-east-1"],
         aws.block(target_group='"arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/site/1"'))
    says(fleet, aws, ["profile 'nosuch'", "there: shop"], aws.block(profile="nosuch"))
    aws.world(key=["AKIDOLD", "old", "tok", "expired"])
    old = {"AWS_ACCESS_KEY_ID": "AKIDOLD", "AWS_SECRET_ACCESS_KEY": "old", "AWS_SESSION_TOKEN": "tok"}
    says(fleet, aws, ["ExpiredToken", "the environment have expired"], aws.block(profile=None), env=old)
    says(fleet, aws, ["SignatureDoesNotMatch", "check the credentials of the environment"], aws.block(profile=None),
         env={"AWS_ACCESS_KEY_ID": "AKIDWORLD", "AWS_SECRET_ACCESS_KEY": "wrong"})
    says(fleet, aws, ["must allow elasticloadbalancing:DescribeTargetHealth"], action="DescribeTargetHealth", fault_status=403,
         body=throttled.replace("Throttling", "AccessDenied"))
    says(fleet, aws, ["a page in HTML", "proxy"], fault_status=200, body="<html><body>Sign in</body></html>")
    says(fleet, aws, ["longer than 8 MiB"], fault_status=200, body="x" * 1000, repeat=100000)
    says(fleet, aws, ["this machine's clock is 10m", "behind AWS's"], skew=600)
    says(fleet, aws, ["Rate exceeded", "asked ", "times in"], fault_status=400, body=throttled, times=1000)
    says(fleet, aws, [aws.ids["app1"], "healthy"], status=0, fault_status=400, body=throttled, times=3)
    aws.log()
    says(fleet, aws, ["has no target \"app1\"", aws.ids["app1"]], aws.block(more=', server: "{node}"'), **check)
    aws.set_delay(aws.group, 300)
    says(fleet, aws, ["target group site gives running requests 300 s", "drain_timeout is 20 s"], **check)
    aws.set_delay(aws.group, 2)
