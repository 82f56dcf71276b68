# SPDX-License-Identifier: MIT
"""AWS's balancers: moto holds instances, groups and tags behind a strict layer (tests/lib/aws_world.py), the nodes are real servers on
loopback addresses. Each request's signature is recomputed by botocore; what came out is asked by boto3."""
import collections
import json

import pytest

import salt_env
import scene
from aws import SECRET, Aws
from load import Load
from scene import end, expect_world, release, release_that_dies, run, start_release, texts, told

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


def write(fleet, aws, balancer, servers=None, **more):
    fleet.write_pillar(servers=servers or aws.servers(), balancer=balancer, transport=f"{fleet.ssh}, port: {fleet.nodes[0].ssh_port}", **more)


def test_a_release_of_nodes_that_ec2_lists_behind_target_groups_loses_no_request(fleet, aws):
    front = f"{fleet.net}.4:{fleet.base + 80}"
    aws.world(front=[*front.split(":")[:1], fleet.base + 80, aws.group])
    volume = aws.boto("ec2", "create_volume", AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    aws.admin = aws.target_group("admin", 1)
    scene.wait_for("its targets are not new any more", lambda: set(aws.states(aws.admin).values()) == {"healthy"}, seconds=20, every=0.05)
    step = (f"aws.call: {{service: ec2, action: CreateSnapshot, region: eu-west-1, profile: shop, endpoint: \"{aws.url}\", "
            f"params: {{VolumeId: {volume}}}, keep: [snapshotId]}}")
    write(fleet, aws, aws.block(target_group="[site, admin]"), servers=aws.listed(), extra=f"  hooks: {{before: [{{{step}}}]}}\n")
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
        result = release_that_dies(fleet, "v2", "elbv2.drain:1", "elbv2.enable:1", "commit-after:9")
    aws.world(lag=0)
    assert load.report["failed"] == 0, (load.report, told(result))
    expect_world(fleet, "v2")
    assert aws.all_healthy(), aws.states()
    calls = collections.Counter(r["action"] for r in aws.log() if r["agent"] == "release")
    # 3 nodes in 2 groups; what was done and not heard of is done once more at most.
    assert all(6 <= calls[action] <= 10 for action in ("DeregisterTargets", "RegisterTargets")), calls
    snapshot, = [x["SnapshotId"] for x in aws.boto("ec2", "describe_snapshots", OwnerIds=["self"])["Snapshots"] if x["VolumeId"] == volume]
    assert snapshot in run(fleet, "log", "prod").stdout
    print(f"calls for 3 nodes: {dict(calls)}; load: {load.report}")
    assert "app_servers by ec2 eu-west-1 (profile shop) tag:Role=web (sha256 " in run(fleet, "plan", "--rev", fleet.revs["v2"], "prod").stdout
    # By now EC2 lists others: a way back is about those that the release was about.
    aws.tag("app3", "Role", "old")
    assert [line.split()[0] for line in run(fleet, "nodes", "prod").stdout.splitlines()[1:3]] == ["app1", "app2"]
    back = run(fleet, "rollback", "--dry-run", "prod").stdout
    assert "rendered    app_servers by ec2" in back and "  3  app3 " in back, back
    aws.tag("app3", "Role", "web")
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


def test_what_went_through_a_group_is_what_cloudwatch_counted(fleet, aws):
    front = aws.application("front", aws.group)
    group = aws.group.partition(":targetgroup/")[2]
    aws.count("AWS/ApplicationELB", {"LoadBalancer": front, "TargetGroup": f"targetgroup/{group}"},
              {"RequestCount": [100, 20], "HTTPCode_Target_5XX_Count": [3], "TargetResponseTime": [0.25, 0.15]})
    aws.count("AWS/ELB", {"LoadBalancerName": "old"}, {"RequestCount": [7]})
    write(fleet, aws, "\n".join(["    - elb: " + aws.inner(target_group=None, name="old", cloudwatch="yes"),
                                 "    - elbv2: " + aws.inner(cloudwatch="yes")]))
    rows = [json.loads(line) for line in run(fleet, "lb", "--json", "prod").stdout.splitlines()]
    pools = {r["backend"]: {k: r[k] for k in ("seconds", "requests", "errors", "answer_ms") if k in r} for r in rows if r["kind"] == "pool"}
    assert pools == {"old": {"seconds": 300, "requests": 7, "errors": 0},
                     "site": {"seconds": 300, "requests": 120, "errors": 3, "answer_ms": 200}}
    assert not any("requests" in r for r in rows if r["kind"] == "server")
    text = run(fleet, "lb", "prod").stdout
    assert "eu-west-1 site, all its servers in 300 s: requests 120, errors 3, answer_ms 200" in text, text


def says(fleet, aws, words, block=None, status=6, args=("lb", "prod"), env=None, skew=0, fault_status=0, servers=None, **fault):
    """The product says it in so many words, with that exit status, and touches nothing."""
    write(fleet, aws, block or aws.block(), servers=servers)
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


def test_a_list_of_ec2_that_is_none_is_told_and_nothing_touched(fleet, aws):
    """The pillar cannot be read then: 2, with the question's own place."""
    def listed(words, env=None, skew=0, fault_status=0, **more):
        fault = {k: more.pop(k) for k in ("body", "repeat", "times") if k in more}
        text = says(fleet, aws, words, status=2, args=("run", "--rev", fleet.revs["v2"], "--yes", "prod"), env=env, skew=skew,
                    fault_status=fault_status, servers=aws.listed(**more), **fault)
        assert "pillar/prod.sls:9:5: app_servers: ec2: " in text and "nothing was touched" in text, text

    error = "<Response><Errors><Error><Code>{}</Code><Message>no</Message></Error></Errors></Response>"
    listed(["no running instance matches ec2 us-east-2 (profile shop) tag:Role=web"], region="us-east-2")
    listed(["profile 'nosuch'", "there: shop"], profile="nosuch")
    old = {"AWS_ACCESS_KEY_ID": "AKIDOLD", "AWS_SECRET_ACCESS_KEY": "old", "AWS_SESSION_TOKEN": "tok"}
    aws.world(key=["AKIDOLD", "old", "tok", "expired"])
    listed(["ExpiredToken", "the environment have expired"], profile=None, env=old)
    listed(["this machine's clock is 10m", "behind AWS's"], skew=600)
    listed(["must allow ec2:DescribeInstances"], fault_status=403, body=error.format("UnauthorizedOperation"))
    listed(["RequestLimitExceeded", "asked "], fault_status=503, body=error.format("RequestLimitExceeded"), times=1000,
           timeout="2s")
    listed(["AWS answered 500: <html>", "asked "], fault_status=500, body="<html>x</html>", times=1000, timeout="2s")
    listed(["a page in HTML"], fault_status=200, body="<html><body>Sign in</body></html>")
    listed(["longer than 8 MiB"], fault_status=200, body="x" * 1000, repeat=100000)
    url, cert = aws.tls("other.example")
    listed(["certificate"], endpoint=f'"{url}"', env={"AWS_CA_BUNDLE": cert})
    says(fleet, aws, ["certificate"], aws.block(endpoint=f'"{url}"'), env={"AWS_CA_BUNDLE": cert})
    aws.tag("app2", "Name", "app1")
    listed([aws.ids["app1"], aws.ids["app2"], "are both called 'app1' by their tag Name"])
    aws.tag("app2", "Name", "app2")
    # app3's instance is replaced between a look and the release: the new one is no target, and the old one no node.
    before, after = aws.ids["app3"], aws.instance(fleet.node("app3"), host=f"{fleet.net}.200")
    aws.boto("ec2", "stop_instances", InstanceIds=[before])
    text = says(fleet, aws, ["has no target", after], args=("run", "--rev", fleet.revs["v2"], "--yes", "prod"), servers=aws.listed())
    assert f"not running: {before} stopp" in run(fleet, "nodes", "prod").stdout, text
